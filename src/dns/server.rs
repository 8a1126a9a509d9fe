//! A name server on loopback, for sandboxes: what [`Names`] say, over UDP and TCP.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, OpCode, ResponseCode};
use hickory_proto::rr::Record as WireRecord;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use super::lookup::Answer;
use super::name::DomainName;
use super::names::Names;
use super::record::{Record, RecordType, Ttl};
use super::wire;
use super::zone::{Limits, Zone};

/// A name server that answers while it is kept.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    names: Names,
    // Dropped, the tasks end.
    _tasks: JoinSet<()>,
}

/// How many peers may be connected at once, and how long one may be silent.
const MOST_PEERS: usize = 64;
const SILENCE: Duration = Duration::from_secs(5);

impl Sandbox {
    /// Answers for these names on a loopback port of its own, or on the one given.
    pub async fn serve(names: Names, port: Option<u16>) -> io::Result<Self> {
        let (udp, tcp) = bind(port).await?;
        let address = tcp.local_addr()?;
        let mut tasks = JoinSet::new();
        let known = names.clone();
        tasks.spawn(async move {
            let mut buffer = vec![0; 4_096];
            loop {
                // A peer that went away is reported here; the next one is not to blame.
                let Ok((length, peer)) = udp.recv_from(&mut buffer).await else {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    continue;
                };
                if let Some(answer) = respond(&known, &buffer[..length], true) {
                    let _ = udp.send_to(&answer, peer).await;
                }
            }
        });
        let known = names.clone();
        let peers = Arc::new(tokio::sync::Semaphore::new(MOST_PEERS));
        tasks.spawn(async move {
            let mut serving = JoinSet::new();
            while let Ok(permit) = peers.clone().acquire_owned().await {
                while serving.try_join_next().is_some() {}
                let Ok((stream, _)) = tcp.accept().await else {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    continue;
                };
                let names = known.clone();
                serving.spawn(async move {
                    let _ = converse(stream, &names).await;
                    drop(permit);
                });
            }
        });
        Ok(Sandbox {
            address,
            names,
            _tasks: tasks,
        })
    }

    /// The same for zones that never change.
    pub async fn of(zones: &[Zone]) -> io::Result<Self> {
        let names = Names::default();
        names.publish("zones", zones);
        Sandbox::serve(names, None).await
    }

    /// The address of both its ports.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it answers from; publish there.
    pub fn names(&self) -> &Names {
        &self.names
    }
}

/// One port for both transports.
async fn bind(port: Option<u16>) -> io::Result<(UdpSocket, TcpListener)> {
    let mut tries = 0;
    loop {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, port.unwrap_or(0))).await?;
        match UdpSocket::bind(tcp.local_addr()?).await {
            Ok(udp) => return Ok((udp, tcp)),
            // A port that is free for the one may be taken for the other.
            Err(_) if port.is_none() && tries < 16 => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

async fn converse(mut stream: TcpStream, names: &Names) -> io::Result<()> {
    loop {
        let length = tokio::time::timeout(SILENCE, stream.read_u16()).await??;
        let mut query = vec![0; usize::from(length)];
        tokio::time::timeout(SILENCE, stream.read_exact(&mut query)).await??;
        let Some(answer) = respond(names, &query, false) else {
            return Ok(());
        };
        let Ok(length) = u16::try_from(answer.len()) else {
            return Ok(());
        };
        let mut message = length.to_be_bytes().to_vec();
        message.extend(answer);
        stream.write_all(&message).await?;
    }
}

/// The answer to a message; nothing to what is no question.
fn respond(names: &Names, query: &[u8], cut: bool) -> Option<Vec<u8>> {
    let query = Message::from_vec(query).ok()?;
    if query.metadata.message_type != hickory_proto::op::MessageType::Query {
        return None;
    }
    let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
    reply.metadata.recursion_desired = query.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.add_queries(query.queries.iter().cloned());
    let room = query
        .edns
        .as_ref()
        .map_or(512, |_| query.max_payload().max(512));
    if query.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(1_232);
        reply.set_edns(edns);
    }
    if query.metadata.op_code != OpCode::Query || query.queries.len() != 1 {
        reply.metadata.response_code = ResponseCode::NotImp;
    } else {
        fill(names, &query, &mut reply);
    }
    let bytes = reply.to_vec().ok()?;
    if cut && bytes.len() > usize::from(room) {
        // The whole of it goes over TCP.
        return reply.truncate().to_vec().ok();
    }
    Some(bytes)
}

fn fill(names: &Names, query: &Message, reply: &mut Message) {
    let question = &query.queries[0];
    let asked = wire::name_of(question.name());
    let answer = match wire::kind_of(question.query_type()) {
        Some(kind) => names.answer(&asked, &kind),
        None => Answer::Empty,
    };
    match answer {
        Answer::Found { records, aliases } => {
            let mut owner = question.name().clone();
            for alias in aliases {
                let hop = Record {
                    ttl: Some(Ttl::Seconds(300)),
                    ..hop(&alias)
                };
                reply.add_answers(wire::record(&owner, &hop));
                if let Some(name) = wire::name(&alias) {
                    owner = name;
                }
            }
            let records: Vec<_> = records
                .iter()
                .filter_map(|record| wire::record(&owner, record))
                .collect();
            reply.add_answers(records);
        }
        Answer::Empty => {
            reply
                .add_authorities(authority(&asked))
                .metadata
                .response_code = ResponseCode::NoError
        }
        Answer::NoName => {
            reply
                .add_authorities(authority(&asked))
                .metadata
                .response_code = ResponseCode::NXDomain
        }
        Answer::Unknown(_) => reply.metadata.response_code = ResponseCode::Refused,
    }
}

/// The record that passes a question on.
fn hop(target: &DomainName) -> Record {
    super::record::Draft::new("CNAME", "", target.absolute())
        .accept(super::name::Owner::apex(), &DomainName::root())
}

/// Who says that there is nothing, and for how long that holds: no time at all, zones change.
fn authority(name: &DomainName) -> Option<WireRecord> {
    let zone = name.parent().unwrap_or_else(|| name.clone());
    let draft = super::record::Draft {
        ttl: Some(Ttl::Seconds(0)),
        ..super::record::Draft::new("SOA", "@", format!("ns.{zone}. host.{zone}. 1 1 1 1 0"))
    };
    let soa = draft.parse(&zone, &Limits::default()).ok()?;
    debug_assert_eq!(soa.kind, RecordType::Soa);
    wire::record(&wire::name(&zone)?, &soa)
}

#[cfg(test)]
mod tests;
