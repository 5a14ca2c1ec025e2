//! `infra/xtask/cold_start.json`: the figures that were accepted, for each architecture, and with which words.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use xshell::{Shell, cmd};

const PATH: &str = "infra/xtask/cold_start.json";
/// How much a figure may grow without a word.
const GROWTH: f64 = 1.2;

/// The figures of a function.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figures {
    pub(super) first_poll_ms: f64,
    pub(super) resident_mib: f64,
    pub(super) zip_mb: f64,
}

impl Figures {
    /// What is a fifth above the figures of before. Times count only where they are of the same processor.
    pub(super) fn grown_since(self, before: &Figures, same_processor: bool) -> impl Iterator<Item = String> {
        let pairs = [
            ("ms to the first poll", self.first_poll_ms, before.first_poll_ms, same_processor),
            ("MiB resident", self.resident_mib, before.resident_mib, true),
            ("MB of the zip", self.zip_mb, before.zip_mb, true),
        ];
        let grown = pairs.into_iter().filter(|(_, now, then, counts)| *counts && *now > then * GROWTH);
        grown.map(|(what, now, then, _)| format!("{now:.2} {what} were {then:.2}"))
    }

    fn read(value: &Value) -> Option<Figures> {
        let number = |name: &str| value[name].as_f64();
        Some(Figures {
            first_poll_ms: number("first_poll_ms")?,
            resident_mib: number("resident_mib")?,
            zip_mb: number("zip_mb")?,
        })
    }

    fn to_json(self) -> Value {
        let [first_poll_ms, resident_mib, zip_mb] =
            [self.first_poll_ms, self.resident_mib, self.zip_mb].map(|figure| (figure * 100.0).round() / 100.0);
        json!({ "first_poll_ms": first_poll_ms, "resident_mib": resident_mib, "zip_mb": zip_mb })
    }
}

/// What is recorded for one architecture.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) processor: String,
    pub(super) functions: BTreeMap<String, Figures>,
}

/// The file.
#[derive(Debug)]
pub(super) struct Record {
    file: Map<String, Value>,
    known: BTreeMap<String, Known>,
}

impl Record {
    pub(super) fn read(shell: &Shell) -> Result<Record> {
        let text = if shell.path_exists(PATH) { shell.read_file(PATH)? } else { "{}".to_owned() };
        let file: Map<String, Value> = serde_json::from_str(&text).with_context(|| format!("{PATH} is no JSON"))?;
        let mut known = BTreeMap::new();
        for (architecture, value) in &file {
            let functions = value["functions"].as_object().with_context(|| format!("{PATH} lists no functions"))?;
            let functions = functions.iter().map(|(name, value)| Some((name.clone(), Figures::read(value)?)));
            let functions = functions.collect::<Option<_>>().with_context(|| format!("{PATH} lacks a figure"))?;
            let processor = value["processor"].as_str().unwrap_or_default().to_owned();
            known.insert(architecture.clone(), Known { processor, functions });
        }
        Ok(Record { file, known })
    }

    pub(super) fn of(&self, architecture: &str) -> Option<&Known> {
        self.known.get(architecture)
    }

    /// Records figures in the place of those of before, and adds the word to those that were given.
    pub(super) fn write(
        &mut self,
        shell: &Shell,
        architecture: &str,
        processor: &str,
        word: &str,
        functions: Vec<(String, Figures)>,
    ) -> Result<()> {
        let date = cmd!(shell, "date --utc +%Y-%m-%d").quiet().read()?;
        let mut words = self.file.get(architecture).map_or_else(|| json!([]), |value| value["words"].clone());
        words
            .as_array_mut()
            .with_context(|| format!("{PATH} lists no words"))?
            .push(json!({ "date": date, "word": word }));
        let functions: Map<String, Value> =
            functions.into_iter().map(|(name, figures)| (name, figures.to_json())).collect();
        let value = json!({ "processor": processor, "functions": functions, "words": words });
        self.file.insert(architecture.to_owned(), value);
        shell.write_file(PATH, format!("{}\n", serde_json::to_string_pretty(&self.file)?))?;
        eprintln!("cold-start: recorded in {PATH}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEN: Figures = Figures { first_poll_ms: 5.0, resident_mib: 9.0, zip_mb: 4.0 };

    #[test]
    fn what_is_more_than_a_fifth_larger_is_told_and_less_is_not() {
        let now = Figures { first_poll_ms: 5.9, resident_mib: 10.9, zip_mb: 4.81 };
        let grown: Vec<String> = now.grown_since(&THEN, true).collect();
        assert_eq!(grown, ["10.90 MiB resident were 9.00", "4.81 MB of the zip were 4.00"]);
    }

    #[test]
    fn a_time_of_another_processor_is_not_held_against_the_program() {
        let now = Figures { first_poll_ms: 50.0, ..THEN };
        assert_eq!(now.grown_since(&THEN, false).count(), 0);
        assert_eq!(now.grown_since(&THEN, true).count(), 1);
    }

    #[test]
    fn what_was_written_is_read_again_with_every_word() {
        let shell = Shell::new().unwrap();
        let folder = shell.create_temp_dir().unwrap();
        shell.change_dir(folder.path());
        for word in ["the first", "a font came in"] {
            let mut record = Record::read(&shell).unwrap();
            record.write(&shell, "arm64", "a processor", word, vec![("claim".to_owned(), THEN)]).unwrap();
        }
        let record = Record::read(&shell).unwrap();
        let known = record.of("arm64").unwrap();
        assert_eq!((known.processor.as_str(), known.functions["claim"]), ("a processor", THEN));
        let words: Vec<&str> =
            record.file["arm64"]["words"].as_array().unwrap().iter().filter_map(|one| one["word"].as_str()).collect();
        assert_eq!(words, ["the first", "a font came in"]);
    }
}
