//! Whether a droplet is the machine this runs on: what would be rebooted or deleted while it does so.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use medtainer_core::{Error, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::lookup::Found;

/// Refuses a droplet that this runs on.
pub async fn refuse_own_host(found: &Found, doing: &str) -> Result<()> {
    let Some(why) = Machine::this().is(found).await else {
        return Ok(());
    };
    let name = found.droplet.name.as_deref().unwrap_or(&found.record.id);
    Err(Error::refused(format!(
        "`{name}` is the machine this runs on ({why}): {doing} it would end this command too"
    ))
    .hint("Run it on another machine, or use DigitalOcean's control panel."))
}

/// Where a machine tells who it is.
struct Machine {
    /// What the firmware says: who built it, and its number, which is the droplet's id.
    firmware: PathBuf,
    /// Where a droplet's metadata is; only asked on a machine of DigitalOcean's.
    metadata: SocketAddr,
    hostname: String,
}

impl Machine {
    fn this() -> Machine {
        let uname = rustix::system::uname();
        Machine {
            firmware: "/sys/class/dmi/id".into(),
            metadata: ([169, 254, 169, 254], 80).into(),
            hostname: uname.nodename().to_string_lossy().into_owned(),
        }
    }

    /// Why it is that droplet; none when it is not.
    async fn is(&self, found: &Found) -> Option<&'static str> {
        if let Some(id) = self.droplet_id().await {
            return (id == found.record.id).then_some("by its own number");
        }
        if found.droplet.addresses().any(is_local) {
            return Some("by its address");
        }
        let name = found.droplet.name.as_deref()?;
        let short = self.hostname.split('.').next().unwrap_or_default();
        let same = |known: &str| !known.is_empty() && known.eq_ignore_ascii_case(name);
        (same(&self.hostname) || same(short)).then_some("by its host name")
    }

    /// The id of the droplet this is, if it is one and tells.
    async fn droplet_id(&self) -> Option<String> {
        let vendor = read(&self.firmware.join("sys_vendor"))?;
        if !vendor.eq_ignore_ascii_case("DigitalOcean") {
            return None;
        }
        // Only root may read the number; everybody may ask.
        match read(&self.firmware.join("product_serial")).filter(|text| is_id(text)) {
            Some(id) => Some(id),
            None => tokio::time::timeout(Duration::from_secs(1), self.ask())
                .await
                .ok()
                .flatten(),
        }
    }

    /// A dozen bytes from the next room: no provider is asked, so it needs none of what that path has.
    async fn ask(&self) -> Option<String> {
        let mut stream = TcpStream::connect(self.metadata).await.ok()?;
        let request = b"GET /metadata/v1/id HTTP/1.0\r\nHost: 169.254.169.254\r\n\r\n";
        stream.write_all(request).await.ok()?;
        let mut answer = String::new();
        stream.take(4_096).read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let ok = head.split(' ').nth(1) == Some("200");
        Some(body.trim().to_owned()).filter(|id| ok && is_id(id))
    }
}

fn read(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned())
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether this machine has that address: only then can a socket have it. Sends nothing.
fn is_local(address: IpAddr) -> bool {
    let can_have = |address: IpAddr| UdpSocket::bind((address, 0)).is_ok();
    // Where sockets may have any address (`ip_nonlocal_bind`), even one that nobody has, this tells nothing.
    let nobodys: IpAddr = [192, 0, 2, 1].into();
    !address.is_loopback() && !address.is_unspecified() && can_have(address) && !can_have(nobodys)
}

#[cfg(test)]
mod tests {
    use medtainer_core::store::records::Record;

    use super::super::types::Droplet;
    use super::*;

    fn found(id: &str, name: &str, address: &str) -> Found {
        let data = format!(
            r#"{{"name":"{name}","networks":{{"v4":[{{"type":"public","ip_address":"{address}"}}]}}}}"#
        );
        Found {
            droplet: Droplet::read(&data),
            record: Record {
                id: id.to_owned(),
                account: None,
                parent: None,
                name: None,
                changed_at: None,
                data,
                last_synced: chrono::DateTime::UNIX_EPOCH,
                deleted_at: None,
            },
        }
    }

    fn machine(firmware: &Path, hostname: &str) -> Machine {
        Machine {
            firmware: firmware.to_owned(),
            metadata: ([127, 0, 0, 1], 1).into(),
            hostname: hostname.to_owned(),
        }
    }

    #[tokio::test]
    async fn the_number_decides_where_there_is_one() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("sys_vendor"), "DigitalOcean\n").unwrap();
        std::fs::write(dir.path().join("product_serial"), "42\n").unwrap();
        let here = machine(dir.path(), "web-1");
        assert!(here.is(&found("42", "x", "203.0.113.1")).await.is_some());
        // A namesake in another team is another machine.
        assert!(
            here.is(&found("43", "web-1", "203.0.113.1"))
                .await
                .is_none()
        );
    }

    #[tokio::test]
    async fn the_metadata_is_asked_on_their_machines_alone() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("sys_vendor"), "DigitalOcean").unwrap();
        let mut here = machine(dir.path(), "host");
        here.metadata = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 512]).await.unwrap() > 0);
            stream
                .write_all(b"HTTP/1.1 200 OK\r\n\r\n42")
                .await
                .unwrap();
        });
        assert!(here.is(&found("42", "x", "203.0.113.1")).await.is_some());
        serving.await.unwrap();
        std::fs::write(dir.path().join("sys_vendor"), "Somebody").unwrap();
        assert!(here.is(&found("42", "x", "203.0.113.1")).await.is_none());
    }

    #[tokio::test]
    async fn elsewhere_addresses_and_names_tell() {
        let nowhere = machine(Path::new("/nonexistent"), "web-1.example.com");
        for (name, is_it) in [
            ("WEB-1", true),
            ("web-1.example.com", true),
            ("web-2", false),
        ] {
            let known = nowhere.is(&found("1", name, "203.0.113.1")).await;
            assert_eq!(known.is_some(), is_it, "{name}");
        }
        // Loopback is everybody's.
        assert!(nowhere.is(&found("1", "x", "127.0.0.1")).await.is_none());
        assert!(!is_local([198, 51, 100, 7].into()));
    }
}
