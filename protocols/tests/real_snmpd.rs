//! Debian's snmpd answers what we ask, in every version and security level, and says what is wrong when it does not.

use protocols::snmp::usm::{AuthProtocol, Engine, KeyExtension, LocalizedUser, PrivacyProtocol, Report, User};
use protocols::snmp::{
    CommunityMessage, ErrorStatus, Oid, Payload, PduBuilder, PduKind, ScopedPdu, V3Builder, V3Message, Value, VarBind,
    Version, encode_community,
};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const AUTH_PASSWORD: &str = "a password to prove it";
const PRIVACY_PASSWORD: &str = "a password to hide it";

/// Time one exchange may take, and how often it is tried while the agent starts.
const PATIENCE: Duration = Duration::from_millis(500);
const TRIES: usize = 40;

/// An agent on loopback with its configuration in a folder of its own.
struct Agent {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The users of the agent: name, and the words its configuration has for the protocols.
const USERS: [(&str, &str, &str); 7] = [
    ("md5des", "MD5", "DES"),
    ("sha1aes128", "SHA", "AES"),
    ("sha224aes128", "SHA-224", "AES"),
    ("sha256aes192", "SHA-256", "AES-192"),
    ("sha256aes256", "SHA-256", "AES-256"),
    ("sha384aes256", "SHA-384", "AES-256"),
    ("sha512aes256", "SHA-512", "AES-256"),
];

fn protocols_of(auth: &str, privacy: &str) -> (AuthProtocol, PrivacyProtocol) {
    let auth = match auth {
        "MD5" => AuthProtocol::Md5,
        "SHA" => AuthProtocol::Sha1,
        "SHA-224" => AuthProtocol::Sha224,
        "SHA-256" => AuthProtocol::Sha256,
        "SHA-384" => AuthProtocol::Sha384,
        _ => AuthProtocol::Sha512,
    };
    let privacy = match privacy {
        "DES" => PrivacyProtocol::Des,
        "AES" => PrivacyProtocol::Aes128,
        "AES-192" => PrivacyProtocol::Aes192,
        _ => PrivacyProtocol::Aes256,
    };
    (auth, privacy)
}

fn start() -> Agent {
    let folder = tempfile::tempdir().expect("as the test arranged it");
    let free =
        UdpSocket::bind("127.0.0.1:0").expect("as the test arranged it").local_addr().expect("as the test arranged it");
    let mut configuration = String::from("rocommunity public\nrouser plainuser noauth\ncreateUser plainuser\n");
    for (name, auth, privacy) in USERS {
        let line = format!("createUser {name} {auth} \"{AUTH_PASSWORD}\" {privacy} \"{PRIVACY_PASSWORD}\"\n");
        configuration.push_str(&line);
        configuration.push_str(&format!("rouser {name} auth\n"));
    }
    let file = folder.path().join("snmpd.conf");
    std::fs::write(&file, configuration).expect("as the test arranged it");
    let child = Command::new("/usr/sbin/snmpd")
        .args(["-f", "-Lf", "/dev/null", "-C", "-c"])
        .arg(&file)
        .arg(format!("udp:{free}"))
        .env("SNMP_PERSISTENT_DIR", folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("Debian's package snmpd is installed; ./test installs it");
    Agent { child, address: free, _folder: folder }
}

impl Agent {
    /// Sends a datagram until an answer comes; the agent may not have started yet.
    fn ask(&self, datagram: &[u8]) -> Vec<u8> {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("as the test arranged it");
        socket.set_read_timeout(Some(PATIENCE)).expect("as the test arranged it");
        let mut buffer = vec![0; 65_536];
        for _ in 0..TRIES {
            socket.send_to(datagram, self.address).expect("as the test arranged it");
            match socket.recv_from(&mut buffer) {
                Ok((len, from)) if from == self.address => return buffer[..len].to_vec(),
                // A datagram to a port nobody listens at yet comes back as an error at once.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => std::thread::sleep(PATIENCE / 5),
                _ => {}
            }
        }
        panic!("snmpd at {} did not answer", self.address);
    }

    fn discover(&self) -> Engine {
        let pdu = PduBuilder::request(PduKind::Get, 1, &[]);
        let nobody = Engine::discovered(&[], 0, 0, 0);
        let request = V3Builder { msg_id: 1, pdu, ..request(&nobody, "", 0, &[]) };
        let answer = self.ask(&request.encode(None, 0, Vec::new()));
        let message = V3Message::read(&answer).expect("as the test arranged it");
        let Payload::Plain(scoped) = message.payload else { panic!("a discovery is answered in clear") };
        assert_eq!(scoped.pdu.kind, PduKind::Report);
        let first = scoped.pdu.var_binds().next().expect("as the test arranged it");
        assert_eq!(Report::of(first.name), Some(Report::UnknownEngineId));
        Engine::discovered(message.engine_id, message.boots, message.time, 0)
    }
}

fn oid(text: &str) -> Oid {
    text.parse().expect("as the test arranged it")
}

fn user(name: &str, auth: &str, privacy: Option<&str>, password: &str) -> User {
    let (auth, cipher) = protocols_of(auth, privacy.unwrap_or("AES"));
    let privacy = privacy.map(|_| (cipher, KeyExtension::Blumenthal, PRIVACY_PASSWORD.as_bytes()));
    User::new(name.as_bytes(), (auth, password.as_bytes()), privacy).expect("as the test arranged it")
}

fn request<'a>(engine: &'a Engine, user: &'a str, boots: u32, var_binds: &'a [VarBind<'a>]) -> V3Builder<'a> {
    let (_, time) = engine.clock(0);
    let pdu = PduBuilder::bulk(7, 0, 5, var_binds);
    V3Builder {
        msg_id: 9,
        reportable: true,
        engine_id: engine.id(),
        boots,
        time,
        user: user.as_bytes(),
        context: b"",
        context_engine_id: None,
        pdu,
    }
}

/// Names of interfaces; or why not, where `None` means that the answer's error status says so.
fn names(agent: &Agent, builder: &V3Builder<'_>, keys: Option<&LocalizedUser>) -> Result<Vec<String>, Option<Report>> {
    let answer = agent.ask(&builder.encode(keys, 0x5a17, Vec::new()));
    let message = V3Message::read(&answer).expect("as the test arranged it");
    assert_eq!(message.msg_id, builder.msg_id);
    let mut scratch = Vec::new();
    let scoped = match message.payload {
        Payload::Plain(scoped) => scoped,
        Payload::Encrypted(_) => {
            keys.expect("as the test arranged it")
                .open(&answer, &message, &mut scratch)
                .expect("as the test arranged it");
            ScopedPdu::read(&scratch).expect("as the test arranged it")
        }
    };
    if scoped.pdu.kind == PduKind::Report {
        return Err(scoped.pdu.var_binds().next().and_then(|var| Report::of(var.name)));
    }
    if let Some(keys) = keys {
        keys.verify(&answer, &message).expect("as the test arranged it");
    }
    assert_eq!(scoped.pdu.request_id, 7);
    if scoped.pdu.error_status() == ErrorStatus::Authorization {
        return Err(None);
    }
    assert_eq!(scoped.pdu.error_status(), ErrorStatus::None);
    let text = |var: VarBind<'_>| match var.value {
        Value::OctetString(text) => Some(String::from_utf8_lossy(text).into_owned()),
        _ => None,
    };
    Ok(scoped.pdu.var_binds().filter_map(text).collect())
}

#[test]
fn communities_ask_and_walk() {
    let agent = start();
    let up = oid("1.3.6.1.2.1.1.3.0");
    let var_binds = [VarBind { name: up.as_ref(), value: Value::Null }];
    for version in [Version::V1, Version::V2c] {
        let pdu = PduBuilder::request(PduKind::Get, 41, &var_binds);
        let answer = agent.ask(&encode_community(version, b"public", &pdu, Vec::new()));
        let message = CommunityMessage::read(&answer).unwrap();
        assert_eq!((message.version, message.community), (version, &b"public"[..]));
        assert_eq!((message.pdu.kind, message.pdu.request_id), (PduKind::Response, 41));
        let first = message.pdu.var_binds().next().unwrap();
        assert_eq!(first.name, up.as_ref());
        assert!(matches!(first.value, Value::TimeTicks(_)), "{:?}", first.value);
    }
    let column = oid("1.3.6.1.2.1.31.1.1.1.1");
    let var_binds = [VarBind { name: column.as_ref(), value: Value::Null }];
    let pdu = PduBuilder::bulk(42, 0, 2, &var_binds);
    let answer = agent.ask(&encode_community(Version::V2c, b"public", &pdu, Vec::new()));
    let message = CommunityMessage::read(&answer).unwrap();
    let first = message.pdu.var_binds().next().unwrap();
    assert!(first.name.index_under(column.as_ref()).is_some());
    assert_eq!(first.value, Value::OctetString(b"lo"), "the loopback interface stands first");
}

#[test]
fn every_user_is_believed_at_both_levels() {
    let agent = start();
    let engine = agent.discover();
    let column = oid("1.3.6.1.2.1.31.1.1.1.1");
    let var_binds = [VarBind { name: column.as_ref(), value: Value::Null }];
    let (boots, _) = engine.clock(0);
    for (name, auth, privacy) in USERS {
        for privacy in [None, Some(privacy)] {
            let keys = user(name, auth, privacy, AUTH_PASSWORD).localize(engine.id());
            let names = names(&agent, &request(&engine, name, boots, &var_binds), Some(&keys));
            assert_eq!(names.unwrap()[0], "lo", "{name} {privacy:?}");
        }
    }
    let plain = names(&agent, &request(&engine, "plainuser", boots, &var_binds), None);
    assert_eq!(plain.unwrap()[0], "lo");
}

#[test]
fn what_is_wrong_is_said() {
    let agent = start();
    let engine = agent.discover();
    let column = oid("1.3.6.1.2.1.31.1.1.1.1");
    let var_binds = [VarBind { name: column.as_ref(), value: Value::Null }];
    let (boots, _) = engine.clock(0);
    let right = user("sha1aes128", "SHA", Some("AES"), AUTH_PASSWORD).localize(engine.id());
    let wrong = user("sha1aes128", "SHA", None, "a password that is wrong").localize(engine.id());
    let asked = request(&engine, "sha1aes128", boots, &var_binds);
    assert_eq!(names(&agent, &asked, Some(&wrong)), Err(Some(Report::WrongDigest)));
    assert_eq!(names(&agent, &asked, None), Err(None), "a request less secured than its user's rights demand");
    let stranger = request(&engine, "stranger", boots, &var_binds);
    assert_eq!(names(&agent, &stranger, Some(&right)), Err(Some(Report::UnknownUser)));
    let late = request(&engine, "sha1aes128", boots + 5, &var_binds);
    assert_eq!(names(&agent, &late, Some(&right)), Err(Some(Report::NotInTimeWindow)));
}
