//! The layers of a configuration: a file, the environment, flags; the later wins, key by key.

use std::cell::RefCell;
use std::ops::Range;
use std::path::PathBuf;

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};
use toml_edit::{ImDocument, TomlError};

use super::findings::{Finding, Findings, KeyPath};
use super::origins::{Origins, line_of};
use super::quote::quote;
use super::{ConfigError, Loaded, check, extract};

/// Where the values of a layer come from; names figment's metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    File,
    Environment,
    Flags,
}

impl Layer {
    const ALL: [Layer; 3] = [Layer::File, Layer::Environment, Layer::Flags];

    fn name(self) -> &'static str {
        match self {
            Layer::File => "file",
            Layer::Environment => "environment",
            Layer::Flags => "flags",
        }
    }

    /// The layer that a value of the merged configuration came from.
    pub(super) fn of(figment: &Figment, value: &Value) -> Option<Layer> {
        let name = &figment.get_metadata(value.tag())?.name;
        Layer::ALL.into_iter().find(|layer| layer.name() == name)
    }
}

/// A file that has been read.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) name: String,
    pub(super) toml: String,
    /// What the TOML was translated from, if the file is a `haproxy.cfg`.
    pub(super) original: Option<Original>,
}

/// A file as it was before its translation.
#[derive(Clone, Debug)]
pub(super) struct Original {
    pub(super) text: String,
    /// Which bytes each key comes from.
    pub(super) spans: Vec<(KeyPath, Range<usize>)>,
    /// What is to be said of the translation, a line each.
    pub(super) remarks: Vec<String>,
}

impl Text {
    /// What people wrote.
    pub(super) fn written(&self) -> &str {
        self.original.as_ref().map_or(&self.toml, |original| &original.text)
    }
}

/// What the command line says about the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--listen ADDR`: the listener `edge`.
    pub listen: Option<String>,
    /// `--preset P`, of the cluster `controllers`.
    pub preset: Option<String>,
    /// `--node NAME=HOST:PORT`, of the cluster `controllers`.
    pub nodes: Vec<(String, String)>,
    /// `--ca-file FILE`, of the cluster `controllers`.
    pub ca_file: Option<PathBuf>,
    /// `--admin ADDR`.
    pub admin: Option<String>,
    /// `--log-format F`.
    pub log_format: Option<String>,
    /// `--log-level L`.
    pub log_level: Option<String>,
}

impl Flags {
    /// Whether they say enough to do without a file.
    pub(super) fn suffice(&self) -> bool {
        self.listen.is_some()
    }

    /// Each flag that was given: its name, the key that it sets, and the value.
    pub(super) fn given(&self) -> Vec<Setting> {
        let ca_file = self.ca_file.as_ref().map(|file| file.display().to_string());
        let listener = self.listen.as_ref().map(|_| "controllers".to_owned());
        let mut given: Vec<Setting> = [
            ("--listen", "listeners.edge.bind", &self.listen),
            ("--listen", "listeners.edge.cluster", &listener),
            ("--preset", "clusters.controllers.preset", &self.preset),
            ("--ca-file", "clusters.controllers.probe.tls.ca_file", &ca_file),
            ("--admin", "admin.bind", &self.admin),
            ("--log-format", "log.format", &self.log_format),
            ("--log-level", "log.level", &self.log_level),
        ]
        .into_iter()
        .filter_map(|(name, key, text)| {
            let key = KeyPath(key.split('.').map(str::to_owned).collect());
            Some(Setting { name: name.to_owned(), key, text: text.clone()? })
        })
        .collect();
        given.extend(self.nodes.iter().map(|(node, address)| {
            let key = ["clusters", "controllers", "nodes", node].map(str::to_owned);
            Setting { name: "--node".to_owned(), key: KeyPath(key.into()), text: address.clone() }
        }));
        given
    }
}

/// One key that is set by a variable or a flag.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// The variable's or flag's name.
    pub(super) name: String,
    pub(super) key: KeyPath,
    /// The value as it was given.
    pub(super) text: String,
}

/// Everything that a configuration is made of.
#[derive(Debug, Default)]
pub(super) struct Layers {
    pub(super) file: Option<Text>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) flags: Flags,
    /// Whether this machine has to have the files and addresses that the configuration names.
    pub(super) look_at_machine: bool,
}

impl Layers {
    /// Lays them over one another, and checks the result whole (O1).
    pub(super) fn assemble(self) -> Result<Loaded, ConfigError> {
        let document = self.file.as_ref().map(parse).transpose()?;
        let file = self.file.as_ref().map_or_else(Dict::new, |text| values(&text.toml));
        let findings = RefCell::new(Findings::default());
        let environment = settings_of(self.environment, &file);
        let flags = self.flags.given();
        report_repeated(&flags, &findings);
        let figment = Figment::new()
            .merge(LayerValues { layer: Layer::File, values: file })
            .merge(LayerValues { layer: Layer::Environment, values: nested(&environment, guess) })
            .merge(LayerValues { layer: Layer::Flags, values: nested(&flags, Value::from) });
        let origins = Origins::new(figment, self.file.as_ref().zip(document.as_ref()), &environment, &flags);

        let raw = extract::extract(&origins, &findings);
        let mut config = check::config(&raw, &findings);
        if self.look_at_machine {
            config = config.filter(|config| check::machine(config, &findings).is_some());
        }
        let Findings { errors, warnings } = findings.into_inner();
        match config {
            Some(config) if errors.is_empty() => {
                let mut told = self
                    .file
                    .as_ref()
                    .and_then(|text| text.original.as_ref())
                    .map_or_else(Vec::new, |it| it.remarks.clone());
                told.extend(origins.tell(warnings));
                Ok(Loaded { config, warnings: told })
            }
            _ => Err(ConfigError::Invalid(origins.show(errors))),
        }
    }
}

impl Layers {
    /// The mistakes of the file alone whose keys are wanted, with their lines.
    pub(super) fn mistakes(self, is_wanted: impl Fn(&KeyPath) -> bool) -> Vec<String> {
        let Some(text) = &self.file else { return Vec::new() };
        let Ok(document) = parse(text) else { return Vec::new() };
        let figment = Figment::new().merge(LayerValues { layer: Layer::File, values: values(&text.toml) });
        let origins = Origins::new(figment, Some((text, &document)), &[], &[]);
        let findings = RefCell::new(Findings::default());
        let raw = extract::extract(&origins, &findings);
        check::config(&raw, &findings);
        let errors = findings.into_inner().errors;
        origins.show(errors.into_iter().filter(|error| is_wanted(&error.key)).collect())
    }
}

/// Parses once more, because figment's values do not know their lines.
fn parse(text: &Text) -> Result<ImDocument<&str>, ConfigError> {
    ImDocument::parse(text.toml.as_str()).map_err(|error: TomlError| {
        let span = error.span().unwrap_or_default();
        let line = line_of(&text.toml, span.start);
        let message = match error.message() {
            "" => "check the line's value, quotes and brackets".to_owned(),
            message => message.lines().collect::<Vec<_>>().join("; "),
        };
        let mut told = format!("{}:{line}: this is not TOML: {message}", text.name);
        if let Some(quote) = quote(&text.toml, span) {
            told = format!("{told}\n{quote}");
        }
        ConfigError::Invalid(vec![told])
    })
}

fn values(toml: &str) -> Dict {
    // It has been parsed by the same parser just now.
    Toml::from_str(toml).unwrap_or_default()
}

/// What is set by the variables that are ours: `RAFTGATE_A__B` sets `a.b`.
fn settings_of(environment: Vec<(String, String)>, file: &Dict) -> Vec<Setting> {
    let mut settings = Vec::new();
    for (name, text) in environment {
        let Some(keys) = name.strip_prefix("RAFTGATE_") else { continue };
        let keys: Vec<String> = keys.split("__").map(str::to_lowercase).collect();
        settings.push(Setting { name, key: KeyPath(as_spelled_in(file, keys)), text });
    }
    settings
}

/// Variables' names have neither lower case nor dashes, so `MY_EDGE` also names what the file calls `my-edge`.
fn as_spelled_in(file: &Dict, keys: Vec<String>) -> Vec<String> {
    let mut table = Some(file);
    let mut spelled = Vec::new();
    for key in keys {
        let known = table.and_then(|table| {
            table
                .get_key_value(&key)
                .or_else(|| table.iter().find(|(name, _)| name.to_lowercase().replace('-', "_") == key))
        });
        table = known.and_then(|(_, value)| value.as_dict());
        let new = if names_header(&spelled) { header_name(&key) } else { key };
        spelled.push(known.map_or(new, |(name, _)| name.clone()));
    }
    spelled
}

/// Whether what is below this key is an HTTP header by its name.
fn names_header(above: &[String]) -> bool {
    matches!(above, [clusters, _, probe, headers] if clusters == "clusters" && probe == "probe" && headers == "headers")
}

/// `x_vault_token` as people write it, `X-Vault-Token`: hardly any header has an underscore in its name, and many servers
/// drop those that have.
fn header_name(key: &str) -> String {
    let words = key.split('_').map(|word| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    });
    words.collect::<Vec<_>>().join("-")
}

/// What a variable's text most likely is: a number, `true`, a list, a table, else a string.
fn guess(text: String) -> Value {
    // The error type is empty: what is nothing else is a string.
    text.parse().unwrap_or_else(|_| Value::from(text))
}

/// A variable cannot be set twice, but a node can be named twice.
fn report_repeated(flags: &[Setting], findings: &RefCell<Findings>) {
    for (place, flag) in flags.iter().enumerate() {
        if flags[..place].iter().any(|earlier| earlier.key == flag.key) {
            let message = "is given twice; each needs a name of its own".to_owned();
            findings.borrow_mut().errors.push(Finding { key: flag.key.clone(), message });
        }
    }
}

fn nested(settings: &[Setting], read: fn(String) -> Value) -> Dict {
    let mut root = Dict::new();
    for Setting { key: KeyPath(keys), text, .. } in settings {
        let Some((last, tables)) = keys.split_last() else { continue };
        let mut table = Some(&mut root);
        for key in tables {
            let value = table.map(|table| table.entry(key.clone()).or_insert_with(|| Dict::new().into()));
            table = match value {
                Some(Value::Dict(_, inner)) => Some(inner),
                _ => None,
            };
        }
        if let Some(table) = table {
            table.insert(last.clone(), read(text.clone()));
        }
    }
    root
}

/// A layer as figment takes it.
struct LayerValues {
    layer: Layer,
    values: Dict,
}

impl Provider for LayerValues {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.layer.name())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}
