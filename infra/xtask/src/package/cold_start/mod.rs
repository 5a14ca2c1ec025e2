//! `cold-start`: how long each packaged function takes from its process's start to the first ask for an event, what memory it has
//! then, and how large its zip is. What was recorded before is left to `record`, one start to `start`.

mod record;
mod start;

use anyhow::{Context, Result, bail};
use xshell::Shell;

use self::record::{Figures, Record};
use super::build::Lto;
use super::{Advisories, Architecture, make};

const TIMES: usize = 21;

/// What we want, for scale: `claim` is what a student waits for.
const AIMS: Figures = Figures { first_poll_ms: 5.0, resident_mib: 9.0, zip_mb: 5.0 };

/// `cold-start [--word WHY]`.
pub(crate) fn cold_start(shell: &Shell, words: &[String]) -> Result<()> {
    let word = match words {
        [] => None,
        [option, word] if option == "--word" && !word.trim().is_empty() => Some(word.as_str()),
        _ => bail!("cargo xtask cold-start takes nothing, or --word and why the figures are what they are now"),
    };
    let architecture = Architecture::own()?;
    let folder = shell.current_dir().join("target/package/cold-start");
    let advisories = Advisories::NotChecked { why: "these packages are only measured".to_owned() };
    let package = make(shell, architecture, Lto::Fat, &advisories, &folder)?;
    let mut record = Record::read(shell)?;
    let processor = processor()?;
    let known = record.of(architecture.as_str());
    let (mut measured, mut grown) = (Vec::new(), Vec::new());
    eprintln!("cold-start: {:16} {:>26} {:>24} {:>22}", "", "ms to the first poll", "MiB resident", "MB of the zip");
    eprintln!("cold-start: {:16} {:>26} {:>24} {:>22}", "aim", AIMS.first_poll_ms, AIMS.resident_mib, AIMS.zip_mb);
    for zip in &package.zips {
        let starts = start::many(&folder.join(&zip.function).join("bootstrap"), TIMES)
            .with_context(|| format!("{} does not start", zip.function))?;
        let [times, memory] = [starts.iter().map(|one| one.ms).collect(), starts.iter().map(|one| one.mib).collect()];
        let (times, memory) = (Spread::of(times), Spread::of(memory));
        let now = Figures { first_poll_ms: times.median, resident_mib: memory.median, zip_mb: zip.bytes as f64 / 1e6 };
        let before = known.and_then(|known| known.functions.get(&zip.function));
        let was = |of: fn(&Figures) -> f64| before.map_or("new".to_owned(), |before| format!("was {:.2}", of(before)));
        eprintln!(
            "cold-start: {:16} {:>26} {:>24} {:>22}",
            zip.function,
            format!("{times} {}", was(|figures| figures.first_poll_ms)),
            format!("{memory} {}", was(|figures| figures.resident_mib)),
            format!("{:.2} {}", now.zip_mb, was(|figures| figures.zip_mb)),
        );
        // A time of another processor says nothing of the program.
        let comparable = known.is_some_and(|known| known.processor == processor);
        match before {
            Some(before) => {
                let of_this = now.grown_since(before, comparable).map(|what| format!("{}: {what}", zip.function));
                grown.extend(of_this);
            }
            None => grown.push(format!("{}: nothing is recorded for {}", zip.function, architecture.as_str())),
        }
        measured.push((zip.function.clone(), now));
    }
    match word {
        Some(word) => record.write(shell, architecture.as_str(), &processor, word, measured),
        None if grown.is_empty() => Ok(()),
        None => bail!("{}; make it smaller, or record it with cargo xtask cold-start --word and why", grown.join("; ")),
    }
}

/// The middle of some figures, with the least and the most.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    fn of(mut figures: Vec<f64>) -> Spread {
        figures.sort_by(f64::total_cmp);
        let at = |place: usize| figures.get(place).copied().unwrap_or(f64::NAN);
        Spread { median: at(figures.len() / 2), least: at(0), most: at(figures.len().saturating_sub(1)) }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} ({:.1}–{:.1})", self.median, self.least, self.most)
    }
}

/// The name of this machine's processor.
fn processor() -> Result<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").context("the processor is known on Linux only")?;
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    Ok(name.map_or("unnamed", |(_, name)| name.trim()).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_start_does_not_move_the_middle() {
        assert_eq!(Spread::of(vec![5.0, 90.0, 4.0]), Spread { median: 5.0, least: 4.0, most: 90.0 });
    }
}
