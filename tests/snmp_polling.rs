//! Devices are polled: real agents by community and as secured users, beside one that never answers; devices come and go
//! by file and over HTTP; traps are heard; the command line says what is wrong.

mod support;

use protocols::snmp::{Oid, PduBuilder, PduKind, Value, VarBind, Version, encode_community};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
use support::eventually;
use support::http::{delete, get, get_json, post};
use support::server::Server;
use support::snmpd::{AUTH_PASSWORD, Agent, PRIVACY_PASSWORD, free_udp_port};
use tempfile::TempDir;

/// Enough for cycles of a second on a loaded machine.
const PATIENCE_SECONDS: u64 = 120;

const COMMUNITY: &str = "community = \"public\"";

fn user(name: &str, auth: &str, privacy: &str) -> String {
    format!(
        "user = \"{name}\"\nauth = \"{auth}\"\nauth_password = \"{AUTH_PASSWORD}\"\n\
         privacy = \"{privacy}\"\nprivacy_password = \"{PRIVACY_PASSWORD}\""
    )
}

fn device(name: &str, port: u16, credentials: &str) -> String {
    format!("[[device]]\nname = \"{name}\"\naddress = \"127.0.0.1:{port}\"\n{credentials}\n")
}

/// A folder with the files of a server.
struct Files(TempDir);

impl Files {
    fn new(devices: &str, more: &str) -> Self {
        let files = Self(TempDir::new().expect("a temporary directory"));
        files.write("devices.toml", devices);
        let path = files.path("devices.toml");
        let settings =
            format!("[snmp]\ndevices_file = {path:?}\ninterval = \"1s\"\ntimeout = \"500ms\"\nretries = 1\n{more}");
        files.write("settings.toml", &settings);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("the folder is ours");
    }

    fn serve(&self) -> Server {
        let settings = self.path("settings.toml");
        Server::start_with(&["--statsd-listen", "off", "--config", settings.to_str().expect("a path of ASCII")])
    }
}

/// The newest value of one series.
fn value(server: &Server, query: &str) -> Option<f64> {
    let answer = get_json(&server.url("/api/v1/query"), &[("query", query)]);
    answer["data"]["result"][0]["value"][1].as_str().map(|text| text.parse().expect("a number"))
}

fn wait_for(server: &Server, query: &str, right: impl Fn(f64) -> bool) -> f64 {
    eventually(query, PATIENCE_SECONDS, || value(server, query).filter(|value| right(*value)))
}

fn state(server: &Server, device: &str) -> serde_json::Value {
    get_json(&server.url(&format!("/api/v1/snmp/devices/{device}")), &[])
}

#[test]
fn real_agents_are_polled_in_every_version_across_a_restart_while_another_is_dead() {
    let mut agent = Agent::start("sysName alpha");
    let dead = UdpSocket::bind("127.0.0.1:0").expect("a port that is heard and never answered");
    let dead_port = dead.local_addr().expect("bound").port();
    let secured = user("operator", "sha256", "aes256");
    let devices = [
        device("open", agent.port, COMMUNITY),
        device("secured", agent.port, &secured),
        device("old", agent.port, &user("old", "sha1", "aes128")),
        device("dead", dead_port, COMMUNITY),
        device("wrong", agent.port, &secured.replace(AUTH_PASSWORD, "some other password")),
    ];
    let server = Files::new(&devices.concat(), "").serve();
    for name in ["open", "secured", "old"] {
        wait_for(&server, &format!("snmp_up{{device=\"{name}\"}}"), |up| up == 1.0);
        let lo = format!("device=\"{name}\",interface=\"lo\"");
        wait_for(&server, &format!("ifHCInOctets{{{lo}}}"), |count| count >= 0.0);
        wait_for(&server, &format!("{{__name__=\"ifHCInOctets:rate\",{lo}}}"), |rate| rate > 0.0);
        wait_for(&server, &format!("snmp_interface_info{{{lo},ifIndex=\"1\"}}"), |one| one == 1.0);
        wait_for(&server, &format!("snmp_device_info{{device=\"{name}\",sysName=\"alpha\"}}"), |one| one == 1.0);
    }
    // Chosen by what the agent answers: tables and counters of our own profiles.
    wait_for(&server, "count({__name__=\"hrStorageUsed\",device=\"open\",storage!=\"\"})", |count| count > 0.0);
    wait_for(&server, "{__name__=\"ssCpuRawIdle:rate\",device=\"open\"}", |rate| rate > 0.0);
    for (name, why) in [("dead", "no answer"), ("wrong", "wrong digest")] {
        wait_for(&server, &format!("snmp_up{{device=\"{name}\"}}"), |up| up == 0.0);
        assert_eq!(value(&server, &format!("ifHCInOctets{{device=\"{name}\"}}")), None);
        let state = state(&server, name);
        assert!(state["error"].as_str().is_some_and(|error| error.contains(why)), "{state}");
    }

    // Raises the engine's boots and not its clock: nobody has started anew.
    agent.reload();
    let polls = state(&server, "secured")["polls"].as_u64().expect("a number");
    eventually("polls go on", PATIENCE_SECONDS, || {
        let state = state(&server, "secured");
        (state["polls"].as_u64() > Some(polls + 3) && state["state"] == "up").then_some(())
    });
    // Long enough before, so that the agent is polled again before it has been up as long.
    let uptime = wait_for(&server, "sysUpTime{device=\"secured\"}", |uptime| uptime > 20.0);
    agent.restart();
    wait_for(&server, "sysUpTime{device=\"secured\"}", |now| now < uptime);
    wait_for(&server, "snmp_up{device=\"secured\"}", |up| up == 1.0);
    let lowest = "min_over_time(min({__name__=~\"if.*:rate\"})[10m:1s]) < 0";
    assert_eq!(value(&server, lowest), None, "a rate is never negative");
}

#[test]
fn a_context_is_asked_for_what_is_behind_it() {
    let agent = Agent::start("sysName alpha");
    let proxy = format!("proxy -Cn inner -v 2c -c public 127.0.0.1:{} .1.3.6.1.2.1\n", agent.port);
    let access = "view everything included .1\nrouser -s usm operator priv -V everything inner\n";
    let outer = Agent::start(&format!("sysName outer\n{access}{proxy}"));
    let inner = format!("{}\ncontext = \"inner\"", user("operator", "sha256", "aes256"));
    let devices = device("outer", outer.port, COMMUNITY) + &device("inner", outer.port, &inner);
    let server = Files::new(&devices, "").serve();
    for (name, system) in [("outer", "outer"), ("inner", "alpha")] {
        wait_for(&server, &format!("snmp_device_info{{device=\"{name}\",sysName=\"{system}\"}}"), |one| one == 1.0);
    }
}

#[test]
fn a_changed_file_is_read_again_a_wrong_one_changes_nothing_and_others_keep_their_state() {
    let agent = Agent::start("");
    let first = device("first", agent.port, COMMUNITY);
    let files = Files::new(&first, "");
    let server = files.serve();
    wait_for(&server, "snmp_up{device=\"first\"}", |up| up == 1.0);
    files.write("devices.toml", "[[device]]\naddress = 5");
    files.write("devices.toml", &(first + &device("second", agent.port, COMMUNITY)));
    let polls = state(&server, "first")["polls"].as_u64().expect("a number");
    wait_for(&server, "snmp_up{device=\"second\"}", |up| up == 1.0);
    assert!(state(&server, "first")["polls"].as_u64() >= Some(polls), "it was not begun anew");
    let page = get(&server.url("/metrics"), &[]).expect("the server answers").body;
    assert!(page.contains("infrawatch_snmp_devices 2\n"), "{page}");
    files.write("devices.toml", &device("second", agent.port, COMMUNITY));
    eventually("the first leaves", PATIENCE_SECONDS, || {
        (get_json(&server.url("/api/v1/snmp/devices"), &[])["total"] == 1).then_some(())
    });
}

#[test]
fn devices_come_and_go_over_http_and_are_found_after_a_restart() {
    let agent = Agent::start("");
    let files = Files::new(&device("first", agent.port, COMMUNITY), "");
    let server = files.serve();
    let devices = server.url("/api/v1/snmp/devices");
    let send = |body: &str| post(&devices, &[], body.as_bytes()).expect("the server answers");
    let second = format!("{{\"name\":\"second\",\"address\":\"127.0.0.1:{}\",\"community\":\"public\"}}", agent.port);
    let added = send(&second);
    assert_eq!(added.status, 201, "{}", added.body);
    assert!(!added.body.contains("public"), "a secret is not given out: {}", added.body);
    assert_eq!(send(&second).status, 409, "its name is taken");
    assert_eq!(send("{\"address\":\"nowhere\",\"community\":\"x\"}").status, 400);
    assert_eq!(send("{\"address\":\"127.0.0.1\",\"comunity\":\"x\"}").status, 400);
    wait_for(&server, "snmp_up{device=\"second\"}", |up| up == 1.0);
    let listed = get_json(&devices, &[("state", "up"), ("search", "sec")]);
    assert_eq!((&listed["total"], &listed["items"][0]["source"]), (&1.into(), &"api".into()), "{listed}");
    assert!(listed["items"][0]["round_trip_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{listed}");
    assert_eq!(delete(&format!("{devices}/first")).expect("an answer").status, 409, "it stands in the file");
    assert_eq!(delete(&format!("{devices}/third")).expect("an answer").status, 404);

    let server = server.stop().restart();
    let devices = server.url("/api/v1/snmp/devices");
    assert_eq!(get_json(&devices, &[])["total"], 2);
    assert_eq!(delete(&format!("{devices}/second")).expect("an answer").status, 204);
    let listed = eventually("the second leaves", PATIENCE_SECONDS, || {
        Some(get_json(&devices, &[])).filter(|listed| listed["total"] == 1)
    });
    assert_eq!(listed["items"][0]["name"], "first");
}

/// Sends an event and gives what answers it.
fn send_event(kind: PduKind, community: &[u8], to: u16) -> Option<Vec<u8>> {
    let oid = |text: &str| text.parse::<Oid>().expect("an identifier");
    let names = ["1.3.6.1.2.1.1.3.0", "1.3.6.1.6.3.1.1.4.1.0", "1.3.6.1.2.1.31.1.1.1.1.7"].map(oid);
    let link_down = oid("1.3.6.1.6.3.1.1.5.3");
    let values = [Value::TimeTicks(500), Value::Oid(link_down.as_ref()), Value::OctetString(b"eth7")];
    let var_binds: Vec<_> =
        names.iter().zip(values).map(|(name, value)| VarBind { name: name.as_ref(), value }).collect();
    let event = encode_community(Version::V2c, community, &PduBuilder::request(kind, 9, &var_binds), Vec::new());
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    socket.send_to(&event, ("127.0.0.1", to)).expect("loopback");
    let mut answer = vec![0; 2000];
    socket.recv(&mut answer).ok().map(|len| answer[..len].to_vec())
}

#[test]
fn traps_of_polled_devices_are_shown_informs_answered_and_strangers_counted() {
    let (agent, port) = (Agent::start(""), free_udp_port());
    let more = format!("trap_listen = \"127.0.0.1:{port}\"\n");
    let server = Files::new(&device("first", agent.port, COMMUNITY), &more).serve();
    assert_eq!(send_event(PduKind::Trap, b"public", port), None, "a trap wants no answer");
    assert!(send_event(PduKind::Inform, b"public", port).is_some(), "an inform wants one");
    assert_eq!(send_event(PduKind::Inform, b"private", port), None);
    let traps = eventually("two events", PATIENCE_SECONDS, || {
        Some(get_json(&server.url("/api/v1/snmp/traps"), &[])).filter(|traps| traps["total"] == 2)
    });
    let newest = &traps["items"][0];
    assert_eq!((&newest["kind"], &newest["name"]), (&"inform".into(), &"linkDown".into()), "{traps}");
    assert_eq!(newest["variables"]["1.3.6.1.2.1.31.1.1.1.1.7"], "eth7");
    let page = get(&server.url("/metrics"), &[]).expect("the server answers").body;
    for line in ["events_total{kind=\"inform\"} 1", "events_rejected_total{reason=\"credentials\"} 1"] {
        assert!(page.contains(&format!("infrawatch_snmp_{line}\n")), "{line}: {page}");
    }
}

/// Runs one of Debian's senders with a folder of its own for what it remembers; whether it was content.
fn send_by_debian(program: &str, folder: &TempDir, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).env("SNMP_PERSISTENT_DIR", folder.path()).env("SNMPCONFPATH", folder.path());
    let output = command.env("MIBS", "").output();
    output.expect("Debian's package snmp is installed; ./test installs it").status.success()
}

#[test]
fn debians_senders_are_heard_in_every_version_and_informs_of_strangers_are_not() {
    const USERS: [(&str, &str, &str); 4] = [
        ("MD5", "DES", "md5 des"),
        ("SHA", "AES", "sha1 aes128"),
        ("SHA-256", "AES-256", "sha256 aes256"),
        ("SHA-512", "AES-192", "sha512 aes192"),
    ];
    let (port, nobody) = (free_udp_port(), free_udp_port());
    let words = |pair: &'static str| pair.split_once(' ').expect("two words");
    let name = |pair: &str| pair.replace(' ', "-");
    let mut devices = device("open", nobody, COMMUNITY);
    for (_, _, pair) in USERS {
        let (auth, privacy) = words(pair);
        devices.push_str(&device(&name(pair), nobody, &user(&name(pair), auth, privacy)));
    }
    let files = Files::new(&devices, &format!("trap_listen = \"127.0.0.1:{port}\"\n"));
    let server = files.serve();
    let (to, folder) = (format!("127.0.0.1:{port}"), TempDir::new().expect("a temporary directory"));
    let event = ["", "1.3.6.1.6.3.1.1.5.3", "1.3.6.1.2.1.2.2.1.1.7", "i", "7"];
    let send = |program: &str, flags: &[&str], event: &[&str]| {
        let flags = [&["-t", "20", "-r", "1"], flags, &[to.as_str()], event].concat();
        send_by_debian(program, &folder, &flags)
    };
    let old = ["1.3.6.1.4.1.8072", "127.0.0.1", "2", "0", "500", "1.3.6.1.2.1.2.2.1.1.7", "i", "7"];
    assert!(send("snmptrap", &["-v", "1", "-c", "public"], &old));
    assert!(send("snmptrap", &["-v", "2c", "-c", "public"], &event));
    assert!(send("snmpinform", &["-v", "2c", "-c", "public"], &event));
    let secured = |user: &'static str, auth: &'static str, privacy: &'static str, password: &'static str| {
        let who = ["-v", "3", "-l", "authPriv", "-u", user, "-a", auth, "-A", password];
        [&who[..], &["-x", privacy, "-X", PRIVACY_PASSWORD]].concat()
    };
    for (auth, privacy, pair) in USERS {
        let user = name(pair).leak();
        assert!(send("snmpinform", &secured(user, auth, privacy, AUTH_PASSWORD), &event), "{pair}: answered");
        assert!(send("snmptrap", &secured(user, auth, privacy, AUTH_PASSWORD), &event), "{pair}");
        assert!(!send("snmpinform", &secured(user, auth, privacy, "some other password"), &event), "{pair}: wrong");
    }
    assert!(!send("snmpinform", &secured("stranger", "SHA", "AES", AUTH_PASSWORD), &event));
    let heard = eventually("eleven events", PATIENCE_SECONDS, || {
        Some(get_json(&server.url("/api/v1/snmp/traps"), &[])).filter(|heard| heard["total"] == 11)
    });
    let items = heard["items"].as_array().expect("a list");
    for (_, _, pair) in USERS {
        for kind in ["trap", "inform"] {
            let is_it = |item: &&serde_json::Value| item["device"] == *name(pair) && item["kind"] == kind;
            let item = items.iter().find(is_it).unwrap_or_else(|| panic!("{kind} of {pair}: {heard}"));
            assert_eq!((&item["version"], &item["name"]), (&"3".into(), &"linkDown".into()), "{heard}");
            assert_eq!(item["variables"]["1.3.6.1.2.1.2.2.1.1.7"], "7", "{heard}");
        }
    }

    // An identity of ours that is another after a restart would make senders learn it anew; boots have to rise.
    let server = server.stop().restart();
    let (_, _, pair) = USERS[2];
    assert!(send("snmpinform", &secured(name(pair).leak(), "SHA-256", "AES-256", AUTH_PASSWORD), &event));
    assert_eq!(get_json(&server.url("/api/v1/snmp/traps"), &[])["total"], 1);
}

#[test]
fn a_users_profile_names_objects_by_mib() {
    let agent = Agent::start("");
    let files = Files::new(&device("first", agent.port, COMMUNITY), "");
    let mibs = files.path("mibs");
    std::fs::create_dir(&mibs).expect("the folder is ours");
    let mib = "OUR-MIB DEFINITIONS ::= BEGIN IMPORTS mib-2 FROM SNMPv2-SMI;\n\
        snmp OBJECT IDENTIFIER ::= { mib-2 11 }\n snmpInPkts OBJECT-TYPE SYNTAX Counter32 ::= { snmp 1 } END";
    files.write("mibs/OUR-MIB", mib);
    files.write("profiles.toml", "[[profile]]\nname = \"p\"\n[[profile.scalar]]\nobject = \"OUR-MIB::snmpInPkts\"\n");
    let settings = std::fs::read_to_string(files.path("settings.toml")).expect("it was written");
    let profiles = files.path("profiles.toml");
    files.write("settings.toml", &format!("{settings}profiles_file = {profiles:?}\nmib_dir = {mibs:?}\n"));
    let server = files.serve();
    wait_for(&server, "snmpInPkts{device=\"first\"}", |count| count > 0.0);
    wait_for(&server, "{__name__=\"snmpInPkts:rate\",device=\"first\"}", |rate| rate > 0.0);
}

fn command(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_infrawatch"));
    command.args(arguments).env_clear().output().expect("the built program starts")
}

#[test]
fn the_command_line_asks_walks_and_says_what_is_wrong() {
    let agent = Agent::start("sysName alpha");
    let (host, nobody) = (format!("127.0.0.1:{}", agent.port), format!("127.0.0.1:{}", free_udp_port()));
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let silent = silent.local_addr().expect("bound").to_string();
    let ask = |host: &str, more: &[&str]| {
        let output = command(&[&["snmp", "test", host, "--timeout", "500"], more].concat());
        let said = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
        (output.status.code(), said)
    };
    let secured = |user: &'static str, auth: &'static str, privacy: &'static str| {
        let flags = ["--auth", "sha256", "--privacy", "aes256", "--user", user];
        [&flags[..], &["--auth-password", auth, "--privacy-password", privacy]].concat()
    };
    eventually("the agent is up", PATIENCE_SECONDS, || {
        (ask(&host, &["--community", "public"]).0 == Some(0)).then_some(())
    });
    for flags in [vec!["--community", "public"], secured("operator", AUTH_PASSWORD, PRIVACY_PASSWORD)] {
        let (code, said) = ask(&host, &flags);
        assert!(code == Some(0) && said.contains("alpha"), "{flags:?}: {said}");
    }
    for (host, flags, words) in [
        (&host, vec!["--community", "wrong"], "wrong community"),
        (&host, secured("stranger", AUTH_PASSWORD, PRIVACY_PASSWORD), "does not know the user"),
        (&host, secured("operator", "another password", PRIVACY_PASSWORD), "wrong digest"),
        (&host, secured("operator", AUTH_PASSWORD, "another password"), "wrong privacy"),
        (&nobody, vec!["--community", "public"], "nothing listens"),
        (&silent, vec!["--community", "public"], "timeout"),
    ] {
        let (code, said) = ask(host, &flags);
        assert!(code == Some(1) && said.contains(words), "{flags:?}: {said}");
    }
    let walked = command(&["snmp", "walk", &host, "1.3.6.1.2.1.1", "--community", "public", "--format", "csv"]);
    let walked = String::from_utf8_lossy(&walked.stdout).into_owned();
    assert!(walked.contains("1.3.6.1.2.1.1.5.0,STRING,alpha\n") && walked.lines().count() > 7, "{walked}");
    let usage = command(&["snmp", "test", &host]);
    assert_eq!(usage.status.code(), Some(2), "without credentials");
}

#[test]
fn the_documents_five_lines_poll_the_agent_of_this_machine() {
    let agent = Agent::start("");
    let document =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/snmp.md")).expect("it is there");
    let lines = document.split("```sh\n").nth(1).and_then(|rest| rest.split_once("```")).expect("an example").0;
    let (prepare, serve) = lines.trim_end().rsplit_once('\n').expect("several lines");
    assert!(lines.lines().count() <= 4, "four lines, and a fifth that asks: {lines}");
    let serve = serve.strip_prefix("infrawatch serve ").expect("the last line starts the server");
    let folder = TempDir::new().expect("a temporary directory");
    let prepare = prepare.replace("127.0.0.1", &format!("127.0.0.1:{}", agent.port));
    let done = Command::new("sh").args(["-euc", &prepare]).current_dir(folder.path()).status();
    assert!(done.expect("there is a shell").success(), "{prepare}");
    let devices = folder.path().join("devices.toml");
    let serve = serve.replace("devices.toml", devices.to_str().expect("a path of ASCII"));
    let arguments: Vec<&str> = serve.split(' ').chain(["--statsd-listen", "off"]).collect();
    let server = Server::start_with_both(&arguments, &[("INFRAWATCH_SNMP_INTERVAL", "1s")]);
    wait_for(&server, "snmp_up{device=\"127.0.0.1\"}", |up| up == 1.0);
    let query = document.split("query=").nth(1).and_then(|rest| rest.split_once('\'')).expect("a query").0;
    wait_for(&server, query, |bits| bits > 0.0);
    let listed = command(&["snmp", "devices", "--server", server.address()]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("127.0.0.1") && listed.contains("up"), "{listed}");
}
