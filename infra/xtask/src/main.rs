//! The recipes of this repository: `cargo xtask` lists them, `cargo xtask ci` is what CI runs. Tools beyond the
//! toolchain are installed by `tools/`, which also runs programs beside a recipe.

mod checks;
mod doctor;
mod measure;
mod package;
mod provider_check;
mod tools;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use xshell::Shell;

struct Recipe {
    name: &'static str,
    what: &'static str,
    run: fn(&Shell) -> anyhow::Result<()>,
}

/// The recipes in the order in which `ci` runs them: what fails fast comes first.
const RECIPES: &[Recipe] = &[
    Recipe { name: "fmt", what: "is everything formatted?", run: checks::fmt },
    Recipe {
        name: "template",
        what: "expand template.yaml, lint it, and see known mistakes caught",
        run: checks::template,
    },
    Recipe {
        name: "runbook",
        what: "try each command of infra/RUNBOOK.md and of doctor on the AWS CLI's own parser, and see mistakes caught",
        run: checks::runbook::runbook,
    },
    Recipe { name: "clippy", what: "lint everything, warnings as errors", run: checks::clippy },
    Recipe { name: "docs", what: "does the documentation build?", run: checks::docs },
    Recipe {
        name: "deny",
        what: "licences, bans and sources of dependencies, advisories where they can be had",
        run: checks::deny,
    },
    Recipe { name: "unused", what: "are there dependencies that nobody uses?", run: checks::unused },
    Recipe {
        name: "test",
        what: "all tests, as the README says, with as many seeds as fit into 45 s for each exploration",
        run: checks::test,
    },
    Recipe {
        name: "second-engine",
        what: "what we rely on in the table, on an engine of other authors",
        run: checks::engine::second_engine,
    },
    Recipe {
        name: "provider-sdk",
        what: "the provider simulator, through the provider's own SDK",
        run: checks::provider::provider_sdk,
    },
    Recipe {
        name: "deploy-test",
        what: "the zips of all functions, deployed to an emulator of AWS and used there",
        run: checks::deployed::deploy_test,
    },
    Recipe {
        name: "browser",
        what: "the first journey in a real browser, with scripts and without",
        run: checks::browser::check,
    },
];

/// The recipes of the quick loop, in order.
const QUICK: &[Recipe] = &[
    Recipe { name: "fmt", what: "is everything formatted?", run: checks::fmt },
    Recipe { name: "clippy", what: "lint everything, warnings as errors", run: checks::clippy },
    Recipe {
        name: "unit-tests",
        what: "those of the crates that differ from origin/main",
        run: checks::changed::unit_tests,
    },
];

/// The recipes that make something and check nothing.
const MAKERS: &[Recipe] = &[Recipe {
    name: "screenshots",
    what: "the pictures of the README, in docs/screenshots",
    run: checks::browser::screenshots,
}];

/// What goes to AWS, and what is there.
const PACKAGE: [(&str, &str); 6] = [
    ("package", "the zips and the folders that template.yaml names, for arm64; or for x86_64, or with --quick"),
    ("", "with --release nothing that is uncommitted or unchecked: no changed file, and the advisory database asked"),
    ("", "with --verify both architectures, built twice in two folders and compared: before a release"),
    ("cold-start", "each packaged function from its start to its first poll; --word WHY records what has grown"),
    ("doctor", "with --stack NAME: what stands between a deployment and claim day; it reads only"),
    ("", "with --students N, --at-once N of them, --region REGION or --profile PROFILE"),
];

/// What asks a real account.
const ACCOUNT: [(&str, &str); 2] = [
    ("provider-check", "--management-key-file FILE [--provider URL]: does an account do what Bursar assumes of it?"),
    ("", "it makes one key, spends at most a cent and takes all away; with --count-keys it only counts keys"),
];

/// The recipes that take longer than a run of CI may, in optimised builds. The words after `bench` are the
/// benchmark's own.
const LONG: [(&str, &str); 11] = [
    ("long", "every exploration with many seeds: those of histories and weather, and hundreds of each other"),
    ("histories", "5,000 histories of each kind that is drawn from seeds, or as many as the number after it says"),
    ("weather", "200 nights of bad weather, each beside a quiet one, or as many as the number after it says"),
    ("flood", "20,000 asks for links while students claim, or as many as the number after it says"),
    ("mails", "a roster of 50,000 mailed through a sandbox and a pause, or as many as the number after it says"),
    ("bench sync", "the nightly sync beside a floor; the figures go to BENCHMARKS.md"),
    ("", "with --quick, --keys N, --changed N, --latency N, --times N or --no-peaks they are only told"),
    ("", "--shapes N: accounts of other shapes with so many keys; --no-shapes; --only-shapes"),
    ("bench resume", "250,000 keys under a deadline of five seconds a run; with --keys N as many"),
    (
        "bench paced",
        "250,000 keys at ten calls a second, and 50,000 at two; --keys N --rate R, S times as fast: --scale S",
    ),
    (
        "bench changes",
        "a cap edit and a close of 5,000 live keys at ten calls a second, from a tenth of them; unoptimised",
    ),
];

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let ended = match names.as_slice() {
        [name, arguments @ ..] if name == "provider-check" => {
            provider_check::become_it(arguments).map(|never| match never {})
        }
        _ => run(&names),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(names: &[String]) -> anyhow::Result<()> {
    if names.is_empty() {
        return list();
    }
    let shell = Shell::new()?;
    shell.change_dir(root());
    match names {
        [name, rest @ ..] if name == "bench" => return measure::bench::run(&shell, rest),
        [name, rest @ ..] if name == "cold-start" => return package::cold_start::cold_start(&shell, rest),
        [name, rest @ ..] if name == "doctor" => return doctor::doctor(rest),
        [name, rest @ ..] if name == "package" => return package::package(&shell, rest),
        [name, rest @ ..] if name == "histories" => return measure::histories::histories(&shell, rest),
        [name, rest @ ..] if name == "weather" => return measure::histories::weather(&shell, rest),
        [name] if name == "long" => return measure::histories::long(&shell),
        [name, rest @ ..] if name == "mails" => return measure::histories::mails(&shell, rest),
        [name, rest @ ..] if name == "flood" => return measure::histories::flood(&shell, rest),
        _ => {}
    }
    for name in names {
        match name.as_str() {
            "ci" => all_of("ci", RECIPES, &shell)?,
            "check" => all_of("check", QUICK, &shell)?,
            name => one(name, &shell)?,
        }
    }
    Ok(())
}

fn one(name: &str, shell: &Shell) -> anyhow::Result<()> {
    let recipe = RECIPES.iter().chain(MAKERS).find(|recipe| recipe.name == name);
    let recipe = recipe.with_context(|| format!("there is no recipe {name}; cargo xtask lists them"))?;
    (recipe.run)(shell).with_context(|| format!("{name} failed"))
}

fn list() -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "cargo xtask <recipe>…\n")?;
    writeln!(
        out,
        "  {:14} the quick loop: format, lints, and the unit tests of the crates that differ from origin/main",
        "check"
    )?;
    writeln!(out, "  {:14} all of these, in this order: what CI runs", "ci")?;
    for recipe in RECIPES {
        writeln!(out, "  {:14} {}", recipe.name, recipe.what)?;
    }
    writeln!(out)?;
    for recipe in MAKERS {
        writeln!(out, "  {:14} {}", recipe.name, recipe.what)?;
    }
    for (name, what) in PACKAGE.into_iter().chain(ACCOUNT).chain(LONG) {
        writeln!(out, "  {name:14} {what}")?;
    }
    Ok(())
}

/// Runs recipes one after the other, and prints how long each took.
fn all_of(what: &str, recipes: &[Recipe], shell: &Shell) -> anyhow::Result<()> {
    let whole = Instant::now();
    for (done, recipe) in recipes.iter().enumerate() {
        eprintln!("\n{what}: {} ({} of {})", recipe.name, done + 1, recipes.len());
        let started = Instant::now();
        let outcome = (recipe.run)(shell);
        let seconds = started.elapsed().as_secs_f32();
        match outcome {
            Ok(()) => eprintln!("{what}: {} passed in {seconds:.1} s", recipe.name),
            Err(error) => return Err(error.context(format!("{what}: {} FAILED after {seconds:.1} s", recipe.name))),
        }
    }
    eprintln!("\n{what}: all {} steps passed in {:.1} s", recipes.len(), whole.elapsed().as_secs_f32());
    Ok(())
}

/// The root of the repository.
fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}
