//! Lays file, environment and flags over the defaults, and checks the whole.

use std::ffi::OsString;
use std::fmt::Write as _;

use super::error::{ConfigErrors, Mistake, Origin};
use super::file::{FileValue, read_file};
use super::relations::RELATIONS;
use super::settings::{SETTINGS, Setting, Settings};

/// A valid configuration.
#[derive(Clone, Debug)]
pub struct Config {
    settings: Settings,
}

impl Config {
    /// The value of every setting.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

/// A value as it was given, and where.
#[derive(Clone, Debug)]
struct Given {
    origin: Origin,
    text: String,
}

/// What came of all layers: the value of each setting in force, and every mistake.
#[derive(Debug)]
pub(super) struct Resolution {
    /// One for each row of [`SETTINGS`]: the value in force and whether it is wrong.
    in_force: Vec<(Given, bool)>,
    mistakes: Vec<Mistake>,
    settings: Settings,
}

impl Resolution {
    /// Resolves the settings from the file at `file`, the variables that `env` knows and the flags
    /// that `flag` knows by their keys. A value is checked even where a higher layer overrides it,
    /// so that a mistake shows before the day when the override goes away.
    pub(super) fn new(
        file: Option<&str>,
        env: impl Fn(&str) -> Option<OsString>,
        flag: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let mut mistakes = Vec::new();
        let from_file = file.map(|path| read_file(path, &mut mistakes)).unwrap_or_default();
        let mut in_force: Vec<_> = SETTINGS.iter().map(default_of).collect();
        for (setting, slot) in SETTINGS.iter().zip(&mut in_force) {
            let in_file = from_file
                .iter()
                .filter(|value| value.setting.key == setting.key)
                .map(|FileValue { origin, text, .. }| (origin.clone(), Ok(text.clone())));
            let variable = setting.variable();
            // An empty variable is how containers leave one unset.
            let in_env = env(&variable)
                .filter(|text| !text.is_empty())
                .map(|text| (Origin::Variable(variable), text.into_string()));
            let in_flags = flag(setting.key)
                .map(|text| (Origin::Flag(format!("--{}", setting.key)), text.into_string()));
            for (origin, text) in in_file.chain(in_env).chain(in_flags) {
                let (text, problem) = judge(setting, text);
                *slot = (Given { origin: origin.clone(), text }, problem.is_some());
                if let Some(problem) = problem {
                    mistakes.push(Mistake::BadValue { origin, key: setting.key, problem });
                }
            }
        }
        let settings = Settings::read(|key| text_to_read(&in_force, key))
            .expect("values that were checked and defaults can be read");
        let mut resolution = Self { in_force, mistakes, settings };
        resolution.check_relations();
        resolution
    }

    /// Relations are judged only among values that are right alone.
    fn check_relations(&mut self) {
        for relation in RELATIONS {
            let mut values = Vec::new();
            let mut wrong_alone = false;
            for (setting, (given, wrong)) in SETTINGS.iter().zip(&self.in_force) {
                if relation.keys.contains(&setting.key) {
                    wrong_alone |= wrong;
                    values.push(format!("{} = {} ({})", setting.key, given.text, given.origin));
                }
            }
            if !wrong_alone && !(relation.holds)(&self.settings) {
                self.mistakes.push(Mistake::Contradiction { values, rule: relation.rule });
            }
        }
    }

    /// The configuration, or every mistake in it.
    pub(super) fn into_config(self) -> Result<Config, ConfigErrors> {
        match ConfigErrors::new(self.mistakes) {
            Some(errors) => Err(errors),
            None => Ok(Config { settings: self.settings }),
        }
    }

    /// The values in force as a TOML file, each with its origin. A secret and a wrong value are
    /// commented out, so that the text can be used as a configuration file.
    pub(super) fn report(&self) -> String {
        let mut report = String::new();
        let mut heading = "";
        for (setting, (given, wrong)) in SETTINGS.iter().zip(&self.in_force) {
            if setting.heading != heading {
                heading = setting.heading;
                let gap = if report.is_empty() { "" } else { "\n" };
                write_line(&mut report, format_args!("{gap}# {heading}"));
            }
            let Setting { key, .. } = setting;
            let Given { origin, text } = given;
            if setting.is_secret() && text != setting.default {
                write_line(&mut report, format_args!("# {key} = (hidden)  # {origin}"));
            } else if *wrong {
                let text = toml_literal(text);
                write_line(&mut report, format_args!("# {key} = {text}  # {origin}, a mistake"));
            } else {
                let text = toml_literal(text);
                write_line(&mut report, format_args!("{key} = {text}  # {origin}"));
            }
        }
        report
    }

    /// Every mistake, or `None` where there are none.
    pub(super) fn into_errors(self) -> Option<ConfigErrors> {
        ConfigErrors::new(self.mistakes)
    }
}

/// The value in `text` and what is wrong with it, if anything.
fn judge(setting: &Setting, text: Result<String, OsString>) -> (String, Option<String>) {
    match text {
        Ok(text) => {
            let problem = setting.check(&text).err();
            (text, problem)
        }
        Err(raw) => (raw.to_string_lossy().into_owned(), Some("is not UTF-8".to_owned())),
    }
}

fn default_of(setting: &Setting) -> (Given, bool) {
    (Given { origin: Origin::Default, text: setting.default.to_owned() }, false)
}

/// The text in force of `key`, or its default where that text is wrong.
fn text_to_read<'a>(in_force: &'a [(Given, bool)], key: &str) -> &'a str {
    SETTINGS
        .iter()
        .zip(in_force)
        .find(|(setting, _)| setting.key == key)
        .map_or("", |(setting, (given, wrong))| if *wrong { setting.default } else { &given.text })
}

/// `text` as TOML writes it: bare where it is a whole number or a switch, quoted otherwise.
fn toml_literal(text: &str) -> String {
    let number: Option<i64> = text.parse().ok();
    if number.is_some_and(|number| number.to_string() == text) || matches!(text, "true" | "false") {
        text.to_owned()
    } else {
        toml::Value::from(text).to_string()
    }
}

fn write_line(report: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(report, "{line}").expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests;
