//! From flags and the process's environment to settings.
//!
//! Not here: precedence and values (see `config`).

use super::{CliError, Global};
use crate::config::{self, FlagValue, Loaded, Sources};
use std::collections::BTreeMap;

/// Builds the settings from the global flags, a command's own flags, the environment and the file; warnings go to
/// standard error unless `--quiet`.
pub(super) fn load(global: &Global, own: Vec<FlagValue>) -> Result<Loaded, CliError> {
    let loaded = config::load(&sources(global, own, environment()))?;
    warn(global, &loaded);
    Ok(loaded)
}

/// Says what is probably a mistake, unless `--quiet`.
pub(super) fn warn(global: &Global, loaded: &Loaded) {
    if !global.quiet {
        loaded.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    }
}

/// The sources of settings, as `load` takes them.
pub(super) fn sources(global: &Global, mut flags: Vec<FlagValue>, environment: BTreeMap<String, String>) -> Sources {
    if global.quiet {
        flags.push(FlagValue { key: "log.level", flag: "--quiet", text: "error".to_owned() });
    }
    flags.extend(flag("log.level", "--log-level", global.log_level.as_ref()));
    Sources { file: global.config.clone(), environment, flags }
}

/// A flag as a setting, if it was given.
pub(super) fn flag(key: &'static str, flag: &'static str, text: Option<&String>) -> Option<FlagValue> {
    text.map(|text| FlagValue { key, flag, text: text.clone() })
}

/// The process's environment; variables that are not UTF-8 cannot be settings.
pub(super) fn environment() -> BTreeMap<String, String> {
    std::env::vars_os().filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Level;

    #[test]
    fn quiet_logs_errors_only_unless_a_level_is_given() {
        let level = |log_level: Option<&str>| {
            let global = Global { quiet: true, log_level: log_level.map(str::to_owned), ..Global::default() };
            config::load(&sources(&global, Vec::new(), BTreeMap::new())).unwrap().config.log.level
        };
        assert_eq!(level(None), Level::Error);
        assert_eq!(level(Some("debug")), Level::Debug);
    }
}
