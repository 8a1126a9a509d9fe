//! Records as messages of the DNS carry them.

use hickory_proto::rr::{Name, RData, Record as WireRecord, RecordType as WireType};

use super::lookup::whole;
use super::name::DomainName;
use super::record::{Draft, Record, RecordType, Ttl};

/// The type as messages number it; nothing for one they have no number for.
pub(super) fn kind(kind: &RecordType) -> Option<WireType> {
    kind.as_str().parse().ok()
}

/// The type of a message's record.
pub(super) fn kind_of(kind: WireType) -> Option<RecordType> {
    kind.to_string().parse().ok()
}

/// The name with all its labels, as it goes over the wire.
pub(super) fn name(name: &DomainName) -> Option<Name> {
    Name::from_ascii(name.absolute()).ok()
}

/// The name out of a message.
pub(super) fn name_of(name: &Name) -> DomainName {
    DomainName::lenient(&name.to_ascii())
}

/// The record as it goes over the wire, under the name that was asked for.
pub(super) fn record(owner: &Name, record: &Record) -> Option<WireRecord> {
    let ttl = record.ttl.and_then(Ttl::seconds).unwrap_or(300);
    let data = match &record.kind {
        // hickory's parser of text knows its own escapes only.
        RecordType::Txt => {
            let strings = record.txt_strings().into_iter().map(str::to_owned);
            RData::TXT(hickory_proto::rr::rdata::TXT::new(strings.collect()))
        }
        kind => RData::try_from_str(self::kind(kind)?, &record.presentation()).ok()?,
    };
    Some(WireRecord::from_rdata(owner.clone(), ttl, data))
}

/// The record of a message, its name whole.
pub(super) fn record_of(record: &WireRecord) -> Option<Record> {
    let value = match &record.data {
        RData::TXT(txt) => {
            let octets = txt.txt_data.concat();
            super::rdata::quote(&String::from_utf8_lossy(&octets))
        }
        // Its text is written without escapes.
        RData::CAA(caa) => {
            let value = super::rdata::quote(&String::from_utf8_lossy(&caa.value));
            format!("{} {} {value}", caa.flags(), caa.tag)
        }
        // hickory ends each list of a parameter with a comma.
        data @ (RData::HTTPS(_) | RData::SVCB(_)) => {
            let text = data.to_string();
            let words: Vec<_> = text.split(' ').map(|w| w.trim_end_matches(',')).collect();
            words.join(" ")
        }
        data => data.to_string(),
    };
    let owner = whole(&name_of(&record.name));
    let draft = Draft {
        ttl: Some(Ttl::Seconds(record.ttl)),
        ..Draft::new(kind_of(record.record_type())?.as_str(), "", value)
    };
    Some(draft.accept(owner, &DomainName::root()))
}
