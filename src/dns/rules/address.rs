//! Addresses nobody can reach, and addresses that a proxy is meant to hide.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::view::View;
use super::{Book, Finding, ids};
use crate::dns::record::{Record, RecordType};

pub(super) fn check(view: &View<'_>, book: &mut Book) {
    let addresses = || {
        let records = view.zone.records.iter();
        records.filter(|record| matches!(record.kind, RecordType::A | RecordType::Aaaa))
    };
    let hidden: BTreeSet<&str> = addresses()
        .filter(|record| record.proxied == Some(true))
        .map(|record| record.data.as_str())
        .collect();
    for record in addresses() {
        let about = |rule, message: String| {
            Finding::new(rule, &record.name, message)
                .about(&record.data)
                .on([record])
        };
        match record.data.parse::<IpAddr>() {
            Err(_) => book.find(about(
                ids::ADDRESS_INVALID,
                format!("`{record}` holds no address, so nothing answers."),
            )),
            Ok(address) => match reach(address) {
                Reach::World => {}
                Reach::Documentation => book.find(about(
                    ids::ADDRESS_DOCUMENTATION,
                    format!("`{record}` holds an address that is reserved for examples: nothing answers there."),
                )),
                Reach::Private(kind) => book.find(about(
                    ids::ADDRESS_PRIVATE,
                    format!("`{record}` holds {kind} address: it cannot be reached from the internet, and tells about the network behind."),
                )),
            },
        }
        let shown = record.proxied == Some(false) && hidden.contains(record.data.as_str());
        if shown {
            let behind: Vec<&Record> = addresses()
                .filter(|other| other.proxied == Some(true) && other.data == record.data)
                .collect();
            book.find(
                about(
                    ids::ORIGIN_EXPOSED,
                    format!(
                        "`{}` shows the address that the proxy in front of `{}` hides.",
                        record.name, behind[0].name
                    ),
                )
                .on(behind),
            );
        }
    }
}

enum Reach {
    World,
    Documentation,
    Private(&'static str),
}

fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => reach4(address),
            None => reach6(address),
        },
    }
}

fn reach4(address: Ipv4Addr) -> Reach {
    let [a, b, ..] = address.octets();
    if address.is_documentation() {
        Reach::Documentation
    } else if address.is_loopback() {
        Reach::Private("a loopback")
    } else if address.is_private() {
        Reach::Private("a private")
    } else if address.is_link_local() {
        Reach::Private("a link-local")
    } else if a == 100 && (64..128).contains(&b) {
        Reach::Private("a carrier's private")
    } else if a == 0 || address.is_multicast() || a >= 240 {
        Reach::Private("a reserved")
    } else {
        Reach::World
    }
}

fn reach6(address: Ipv6Addr) -> Reach {
    let [a, b, ..] = address.segments();
    if a == 0x2001 && b == 0xdb8 || a == 0x3fff && b < 0x1000 {
        Reach::Documentation
    } else if address.is_loopback() || address.is_unspecified() {
        Reach::Private("a loopback")
    } else if a & 0xfe00 == 0xfc00 {
        Reach::Private("a private")
    } else if a & 0xffc0 == 0xfe80 {
        Reach::Private("a link-local")
    } else if address.is_multicast() {
        Reach::Private("a reserved")
    } else {
        Reach::World
    }
}
