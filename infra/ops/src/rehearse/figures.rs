//! What a stack itself has measured meanwhile: its functions' starts, the table's transactions, its
//! alarms.

use super::Run;
use super::place::Kind;

/// Each a name, and a question with the names that `doctor.txt` has, and `$begun`.
const FIGURES: &str = include_str!("figures.txt");

impl Run<'_> {
    /// What cannot be had is said in the place of its value, since nothing else depends on it.
    pub(super) fn figures(&mut self) {
        let options = self.options;
        let Kind::Stack { aws, deployment } = &options.place.0 else {
            return;
        };
        let begun = self.report.begun_at.as_millisecond().to_string();
        for figure in FIGURES.trim_end().split("\n\n") {
            let (name, question) = figure.split_once('\n').unwrap_or_default();
            // What is not Bursar's has no such figure.
            let Some(filled) = deployment.fill(&question.replace("$begun", &begun), "") else {
                continue;
            };
            let (words, query) = filled.split_once(" --query ").unwrap_or_default();
            let value = match aws.ask(&words.split(' ').collect::<Vec<_>>(), query) {
                Ok(Ok(Some(lines))) if question.contains("REPORT") => starts(&lines),
                Ok(Ok(text)) => text.unwrap_or_default().replace("None", "not known"),
                Ok(Err(why)) => why,
                Err(error) => format!("{error:#}"),
            };
            if words.starts_with("cloudwatch describe-alarms") {
                self.report.ringing = ringing(&value);
            }
            self.report.figure(name, &value);
        }
    }
}

/// The first answer of a copy that started, its start included, and the middle one of those that
/// had.
fn starts(lines: &str) -> String {
    let mut cold = Vec::new();
    let mut warm = Vec::new();
    for report in lines.split("REPORT RequestId").skip(1) {
        let Some(duration) = milliseconds(report, "Duration: ") else {
            continue;
        };
        match milliseconds(report, "Init Duration: ") {
            Some(start) => cold.push(start + duration),
            None => warm.push(duration),
        }
    }
    [cold, warm]
        .map(|mut times| {
            times.sort_by(f64::total_cmp);
            times
                .get(times.len() / 2)
                .map_or("none seen".to_owned(), |middle| {
                    format!("{middle:.0} ms ({} seen)", times.len())
                })
        })
        .join(", ")
}

/// The names of alarms, after how many there are of two kinds.
fn ringing(counts: &str) -> String {
    counts
        .split('\t')
        .skip(2)
        .flat_map(str::split_whitespace)
        .collect::<Vec<_>>()
        .join(", ")
}

fn milliseconds(report: &str, name: &str) -> Option<f64> {
    report.split_once(name)?.1.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_told_apart() {
        let lines = "REPORT RequestId: a\tDuration: 80.5 ms\tBilled Duration: 121 ms\tMemory Size: 512 MB\tInit Duration: 40.00 ms\n\
                     REPORT RequestId: b\tDuration: 9.20 ms\tBilled Duration: 10 ms\nREPORT RequestId: c\tDuration: 7.00 ms";
        assert_eq!(starts(lines), "120 ms (1 seen), 9 ms (2 seen)");
        assert_eq!(starts(""), "none seen, none seen");
        assert_eq!(ringing("12\t14\tb-Credit b-Mail\n"), "b-Credit, b-Mail");
    }
}
