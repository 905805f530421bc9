//! Builds the settings from every source: a flag beats the environment, that beats the file, that the default.
//!
//! Not here: how a file is read (see `file`), what a value looks like (see `kinds`), reading the process's own
//! environment and arguments (see `cli`): sources are arguments, so every rule here is tested without a process.

use super::error::{ConfigError, ConfigErrors};
use super::file;
use super::keys::{Config, KEYS};
use super::table::{Key, Origin};
use crate::nearest::nearest;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The variable that names the settings file when no flag does.
pub const CONFIG_VARIABLE: &str = "INFRAWATCH_CONFIG";

/// The variable that holds the token by which commands say who asks.
pub const TOKEN_VARIABLE: &str = "INFRAWATCH_TOKEN";

/// The variable that names the certificates that commands trust.
pub const CA_VARIABLE: &str = "INFRAWATCH_CA_FILE";

const PREFIX: &str = "INFRAWATCH_";

/// A setting given on the command line.
#[derive(Debug, Clone)]
pub struct FlagValue {
    /// The key it sets.
    pub key: &'static str,
    /// The flag as typed, with its dashes.
    pub flag: &'static str,
    /// Its value.
    pub text: String,
}

/// Where settings come from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file named on the command line.
    pub file: Option<PathBuf>,
    /// The environment; an empty variable counts as not set.
    pub environment: BTreeMap<String, String>,
    /// The flags that were given.
    pub flags: Vec<FlagValue>,
}

/// The settings in force.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// The file they were read from, if any.
    pub file: Option<PathBuf>,
    /// Things that are probably mistakes and do no harm, one line each.
    pub warnings: Vec<String>,
}

/// Builds the settings; on failure reports every mistake of every source.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigErrors> {
    let mut config = Config::default();
    let mut errors = Vec::new();
    let file = sources.file.clone().or_else(|| variable(sources, CONFIG_VARIABLE).map(PathBuf::from));
    if let Some(path) = &file {
        let contents = file::read(path, &text_of(path)?, &sources.environment);
        errors.extend(contents.errors);
        for entry in contents.entries {
            take(&mut config, entry.key, &entry.text, entry.origin, &mut errors);
        }
    }
    for key in KEYS {
        let mut names = std::iter::once(key.variable()).chain(key.other_variable.map(str::to_owned));
        let set = names.find_map(|name| variable(sources, &name).map(|text| (text, name.clone())));
        if let Some((text, name)) = set {
            take(&mut config, key, text, Origin::Environment(name), &mut errors);
        }
    }
    for FlagValue { key, flag, text } in &sources.flags {
        let key = KEYS.iter().find(|k| k.name == *key).expect("flags set keys of the table");
        take(&mut config, key, text, Origin::Flag(flag), &mut errors);
    }
    errors.extend(conflict(&config));
    if errors.is_empty() {
        Ok(Loaded { config, file, warnings: mistyped_variables(sources) })
    } else {
        Err(ConfigErrors(errors))
    }
}

fn text_of(path: &Path) -> Result<String, ConfigError> {
    if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
        return Err(ConfigError::Yaml { path: path.to_path_buf() });
    }
    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_path_buf(), source })
}

fn take(config: &mut Config, key: &'static Key, text: &str, origin: Origin, errors: &mut Vec<ConfigError>) {
    if let Err(what) = config.take(key, text, origin.clone()) {
        errors.push(ConfigError::Value { origin, key: key.name, text: text.to_owned(), what });
    }
}

fn variable<'a>(sources: &'a Sources, name: &str) -> Option<&'a str> {
    sources.environment.get(name).map(String::as_str).filter(|text| !text.is_empty())
}

/// Rules that concern two keys at once.
fn conflict(config: &Config) -> Option<ConfigError> {
    retention(config).or_else(|| certificate(config)).or_else(|| public(config)).or_else(|| pipeline(config))
}

fn wrong(config: &Config, name: &str, what: impl Into<String>) -> Option<ConfigError> {
    let key = KEYS.iter().find(|key| key.name == name)?;
    Some(ConfigError::Conflict { origin: config.origin(key).clone(), key: key.name, what: what.into() })
}

fn certificate(config: &Config) -> Option<ConfigError> {
    match (&config.http.tls_cert_file, &config.http.tls_key_file) {
        (Some(_), None) => wrong(config, "http.tls_cert_file", "needs http.tls_key_file"),
        (None, Some(_)) => wrong(config, "http.tls_key_file", "needs http.tls_cert_file"),
        _ => None,
    }
}

/// An address that others can reach wants access to be configured.
fn public(config: &Config) -> Option<ConfigError> {
    let address = config.http.listen.addr()?;
    let is_open = config.http.allow_public || config.access.users_file.is_some();
    if is_open || address.ip().to_canonical().is_loopback() {
        return None;
    }
    let what = format!(
        "{address} can be reached by others and no access is configured: \
         set access.users_file, or http.allow_public = true to let everybody in"
    );
    wrong(config, "http.listen", what)
}

/// A critical anomaly is more than a warning, and windows leave no gaps.
fn pipeline(config: &Config) -> Option<ConfigError> {
    let pipeline = &config.pipeline;
    if pipeline.critical_ratio < pipeline.warning_ratio {
        return wrong(config, "pipeline.critical_ratio", "must be at least pipeline.warning_ratio");
    }
    (pipeline.window_size < pipeline.window_step)
        .then(|| wrong(config, "pipeline.window_size", "must be at least pipeline.window_step"))?
}

fn retention(config: &Config) -> Option<ConfigError> {
    let storage = &config.storage;
    if storage.retention.is_zero() || storage.retention >= storage.out_of_order {
        return None;
    }
    wrong(config, "storage.retention", "must be 0 or at least storage.out_of_order")
}

/// Variables that look like ours and are not. Only near misses are named: an orchestrator that runs a service called
/// infrawatch sets a dozen variables such as `INFRAWATCH_SERVICE_HOST` of its own.
fn mistyped_variables(sources: &Sources) -> Vec<String> {
    let known: Vec<String> = KEYS
        .iter()
        .map(Key::variable)
        .chain([CONFIG_VARIABLE, TOKEN_VARIABLE, CA_VARIABLE].map(str::to_owned))
        .collect();
    let ours = sources.environment.keys().filter(|name| name.starts_with(PREFIX) && !known.contains(name));
    let near = |name: &str| {
        let rest = known.iter().map(|name| &name[PREFIX.len()..]);
        nearest(&name[PREFIX.len()..], rest).map(|near| format!("{PREFIX}{near}"))
    };
    ours.filter_map(|name| Some(format!("ignoring unknown variable {name}, did you mean {}", near(name)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(file_text: Option<&str>, environment: &[(&str, &str)], flags: &[&str]) -> (Sources, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.toml");
        if let Some(text) = file_text {
            std::fs::write(&path, text).unwrap();
        }
        let pair = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        let flag = |text: &&str| FlagValue { key: "log.level", flag: "--log-level", text: (*text).to_owned() };
        let sources = Sources {
            file: file_text.map(|_| path),
            environment: environment.iter().map(pair).collect(),
            flags: flags.iter().map(flag).collect(),
        };
        (sources, folder)
    }

    fn level_and_origin(file: Option<&str>, environment: &[(&str, &str)], flags: &[&str]) -> (String, String) {
        let (sources, _folder) = sources(file, environment, flags);
        let config = load(&sources).unwrap().config;
        let key = KEYS.iter().find(|key| key.name == "log.level").unwrap();
        let origin = config.origin(key).to_string();
        ((key.text)(&config), origin.rsplit('/').next().unwrap().to_owned())
    }

    #[test]
    fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
        let file = Some("[log]\nlevel = \"warn\"\n");
        let own = ("INFRAWATCH_LOG_LEVEL", "debug");
        let other = ("LOG_LEVEL", "ERROR");
        let pair = |value: &str, origin: &str| (value.to_owned(), origin.to_owned());
        assert_eq!(level_and_origin(file, &[own, other], &["trace"]), pair("trace", "--log-level"));
        assert_eq!(level_and_origin(file, &[own, other], &[]), pair("debug", "INFRAWATCH_LOG_LEVEL"));
        assert_eq!(level_and_origin(file, &[other], &[]), pair("error", "LOG_LEVEL"));
        assert_eq!(level_and_origin(file, &[], &[]), pair("warn", "settings.toml:2"));
        assert_eq!(level_and_origin(None, &[], &[]), pair("info", "default"));
    }

    #[test]
    fn variables_of_others_stand_between_our_own_and_the_file() {
        let url = |file: Option<&str>, environment: &[(&str, &str)], flag: Option<&str>| {
            let (mut sources, _folder) = sources(file, environment, &[]);
            let given =
                |text: &str| FlagValue { key: "pull.prometheus_url", flag: "--prometheus-url", text: text.into() };
            sources.flags.extend(flag.map(given));
            load(&sources).unwrap().config.pull.prometheus_url
        };
        let file = Some("[pull]\nprometheus_url = \"http://file\"\n");
        let (own, other) = (("INFRAWATCH_PULL_PROMETHEUS_URL", "http://own"), ("PROMETHEUS_URL", "http://other"));
        assert_eq!(url(file, &[own, other], Some("http://flag")), "http://flag");
        assert_eq!(url(file, &[own, other], None), "http://own");
        assert_eq!(url(file, &[other], None), "http://other");
        assert_eq!(url(file, &[], None), "http://file");
        assert_eq!(url(None, &[], None), "");
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        assert_eq!(level_and_origin(None, &[("INFRAWATCH_LOG_LEVEL", "")], &[]).1, "default");
    }

    #[test]
    fn the_file_may_be_named_by_a_variable() {
        let (mut sources, _folder) = sources(Some("[log]\nlevel = \"warn\""), &[], &[]);
        let path = sources.file.take().unwrap();
        sources.environment.insert(CONFIG_VARIABLE.to_owned(), path.display().to_string());
        assert_eq!(load(&sources).unwrap().file, Some(path));
    }

    #[test]
    fn mistakes_of_every_source_are_reported_together() {
        let (sources, _folder) = sources(Some("[log]\nlevl = 1\n"), &[("INFRAWATCH_HTTP_LISTEN", "here")], &["loud"]);
        let errors = load(&sources).unwrap_err();
        assert_eq!(errors.0.len(), 3, "{errors:?}");
        assert!(errors.0[1].to_string().starts_with("INFRAWATCH_HTTP_LISTEN: http.listen = \"here\": expected an IP"));
    }

    #[test]
    fn yaml_and_missing_files_are_named() {
        let of = |name: &str| {
            let sources = Sources { file: Some(PathBuf::from(name)), ..Sources::default() };
            load(&sources).unwrap_err().to_string()
        };
        assert!(of("pipeline.yaml").starts_with("pipeline.yaml is yaml"));
        assert!(of("pipeline.yml").contains("config import"));
        assert!(of("/nowhere/a.toml").starts_with("cannot read settings from /nowhere/a.toml: "));
    }

    #[test]
    fn retention_reaches_back_at_least_as_far_as_the_out_of_order_window() {
        let (sources, _folder) = sources(Some("[storage]\nretention = \"5m\"\n"), &[], &[]);
        let error = load(&sources).unwrap_err().to_string();
        assert!(
            error.ends_with("settings.toml:2: storage.retention must be 0 or at least storage.out_of_order"),
            "{error}"
        );
    }

    #[test]
    fn an_address_that_others_can_reach_wants_access() {
        let error =
            |settings: &[(&str, &str)]| load(&sources(None, settings, &[]).0).err().map(|error| error.to_string());
        let listen = |address| ("INFRAWATCH_HTTP_LISTEN", address);
        for address in ["0.0.0.0:8080", "[::]:8080", "10.0.0.1:80", "[2001:db8::1]:80"] {
            let said = error(&[listen(address)]).unwrap();
            assert!(said.contains("access.users_file") && said.contains("http.allow_public"), "{said}");
            assert_eq!(error(&[listen(address), ("INFRAWATCH_HTTP_ALLOW_PUBLIC", "true")]), None);
            assert_eq!(error(&[listen(address), ("INFRAWATCH_ACCESS_USERS_FILE", "/etc/users.toml")]), None);
        }
        for address in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "off"] {
            assert_eq!(error(&[listen(address)]), None, "{address}");
        }
        let half = error(&[("INFRAWATCH_HTTP_TLS_CERT_FILE", "a.pem")]).unwrap();
        assert!(half.ends_with("http.tls_cert_file needs http.tls_key_file"), "{half}");
    }

    #[test]
    fn ratios_and_windows_that_do_not_go_together_are_refused() {
        let error = |text: &str| load(&sources(Some(text), &[], &[]).0).err().map(|error| error.to_string());
        assert_eq!(error("[pipeline]\nmodel_path = \"m.onnx\"\nfallback_strategy = \"off\"\n"), None);
        for wrong in ["critical_ratio = 1.2", "window_size = \"5s\""] {
            assert!(error(&format!("[pipeline]\n{wrong}\n")).unwrap().contains("must be at least"), "{wrong}");
        }
    }

    #[test]
    fn only_near_misses_among_variables_are_warned_of() {
        let environment =
            [("INFRAWATCH_HTTP_LISTN", "off"), ("INFRAWATCH_SERVICE_HOST", "10.0.0.1"), ("LOG_LEVL", "x")];
        let (sources, _folder) = sources(None, &environment, &[]);
        let warnings = load(&sources).unwrap().warnings;
        assert_eq!(warnings, ["ignoring unknown variable INFRAWATCH_HTTP_LISTN, did you mean INFRAWATCH_HTTP_LISTEN"]);
    }
}
