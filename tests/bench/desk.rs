//! What an answer of the console takes, over so many grants of one programme and over a hundred
//! programmes.

use std::collections::HashSet;
use std::io::Read;

use anyhow::{Context, Result, ensure};
use bursar_core::clock::Clock;
use bursar_core::domain::values::window::utc_date;
use bursar_local::invoke::FunctionName;
use data_encoding::BASE64;
use flate2::read::GzDecoder;
use serde_json::Value;

use crate::client::Sample;
use crate::told;
use crate::world::World;

const TIMES: &str = "11";
/// The most that Lambda answers.
const MOST_BYTES: usize = 6 << 20;

pub(crate) async fn desk(sizes: &[usize]) -> Result<()> {
    println!(
        "| grants | answer | wall, ms | processor, ms | requests to the table | read units | bytes | peak, MiB |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for grants in sizes {
        let mut world = World::of(*grants, *grants).await?;
        synced(&mut world).await?;
        let (number, key) = (grants / 2, &world.keys[grants / 2]);
        let (name, hash) = (&key.name, key.hash.get(..12).context("a short hash")?);
        let programme = format!("/console/programmes/{}", name.programme);
        let list = format!("{programme}/grants");
        let address = format!("student-{number}%40students.example.edu");
        for takes in ["gzip", "identity"] {
            in_parts(&world, &format!("{list}.csv"), takes).await?;
        }
        for (what, path) in [
            ("overview", programme.clone()),
            (
                "grants by state and group, by spending",
                format!("{list}?state=live&group=section-1&sort=spending"),
            ),
            ("grants, last used first", format!("{list}?sort=used")),
            ("grants by an address", format!("{list}?q={address}")),
            ("grants by a grant's id", format!("{list}?q={}", name.grant)),
            ("grants by a key's name", format!("{list}?q={name}")),
            ("help desk, an address", format!("/console?q={address}")),
            (
                "help desk, a grant's id",
                format!("/console?q={}", name.grant),
            ),
            ("help desk, a key's name", format!("/console?q={name}")),
            ("one grant", format!("{list}/{}", name.grant)),
            ("grants", list.clone()),
            ("audit", format!("{programme}/audit")),
            (
                "grants of 7 days, last used first",
                format!("{list}?window=7d&sort=used"),
            ),
            (
                "grants by a part of a name",
                format!("{list}?q=number+1&sort=name"),
            ),
            ("grants by a hash's beginning", format!("{list}?q={hash}")),
            (
                "help desk, a full name",
                format!("/console?q=Student+Number+{number}"),
            ),
            ("report by person", format!("{programme}/report?by=person")),
        ] {
            measured(&world, what, &path, "gzip").await?;
        }
    }
    let (mut world, today) = (World::of(200, 2).await?, utc_date(Clock::system().now()));
    synced(&mut world).await?;
    measured(
        &world,
        "statement of 100 programmes",
        &format!("/console/account/statement?from={today}&to={today}"),
        "gzip",
    )
    .await?;
    Ok(())
}

/// A roster of so many rows is previewed and applied as people do, by a request and the work of
/// minutes.
pub(crate) async fn roster(rows: &str) -> Result<()> {
    // One programme for the figures, and another for what is counted.
    let world = World::of(2, 1).await?;
    println!("| of {rows} rows | wall, s | processor, s | peak, MiB |");
    println!("| --- | --- | --- | --- |");
    for (key, is_counted) in world.keys.iter().zip([false, true]) {
        let words = [
            "roster",
            &world.cookie,
            &world.csrf,
            key.name.programme.as_str(),
            rows,
        ];
        let samples: Vec<Sample> = world
            .as_product(FunctionName::Console, &words, is_counted)
            .await?;
        if is_counted {
            println!("\n{}; {:?}", world.calls(), world.consumed());
            continue;
        }
        for (what, sample) in ["preview", "apply", "work"]
            .iter()
            .chain(std::iter::repeat(&"work"))
            .zip(samples)
        {
            let [wall, cpu] = [sample.wall_ms, sample.cpu_ms].map(|ms| ms / 1e3);
            println!(
                "| {what} | {wall:.2} | {cpu:.2} | {} |",
                sample.peak_kib / 1024
            );
        }
    }
    Ok(())
}

/// Syncs, before which none, all and some of the keys were used.
async fn synced(world: &mut World) -> Result<()> {
    for per_cent in [0, 100, 5] {
        world.spend(per_cent)?;
        let Sample { answer, .. } = world.product(false).await?;
        ensure!(
            answer["complete"] == true,
            "a run was not complete: {answer}"
        );
    }
    Ok(())
}

/// Measures an answer in one process, and counts its calls in another. Returns the answer.
async fn measured(world: &World, what: &str, path: &str, takes: &str) -> Result<Value> {
    let ask = async |times: &str, is_counted| {
        world
            .as_product::<Vec<Sample>>(
                FunctionName::Console,
                &[&world.cookie, path, takes, times],
                is_counted,
            )
            .await
    };
    let mut samples = ask(TIMES, false).await?;
    ask("0", true).await?;
    let answer = samples.remove(0).answer;
    ensure!(
        answer["statusCode"] == 200,
        "{path} answers {}",
        answer["statusCode"]
    );
    let spread = |of: fn(&Sample) -> f64| told(samples.iter().map(of).collect());
    println!(
        "| {} | {what} | {} | {} | {} | {} | {} | {} |",
        world.keys.len(),
        spread(|sample| sample.wall_ms),
        spread(|sample| sample.cpu_ms),
        world.calls(),
        world.consumed().read_units,
        body(&answer)?.len(),
        samples
            .iter()
            .map(|sample| sample.peak_kib)
            .max()
            .unwrap_or_default()
            / 1024,
    );
    Ok(answer)
}

/// Measures each part of a file, as the links lead, in which each grant is once.
async fn in_parts(world: &World, file: &str, takes: &str) -> Result<()> {
    let (mut next, mut grants, mut parts) = (Some(file.to_owned()), HashSet::new(), 0);
    while let Some(path) = next {
        parts += 1;
        let answer = measured(
            world,
            &format!("grants.csv, {takes}, part {parts}"),
            &path,
            takes,
        )
        .await?;
        ensure!(
            answer.to_string().len() <= MOST_BYTES,
            "Lambda does not answer so much"
        );
        let mut file = body(&answer)?;
        if takes == "gzip" {
            let packed = std::mem::take(&mut file);
            GzDecoder::new(&*packed).read_to_end(&mut file)?;
        }
        for row in csv::Reader::from_reader(&*file).records() {
            let row = row?;
            let grant = row.get(0).context("an empty row")?;
            ensure!(
                grants.insert(grant.to_owned()),
                "the grant {grant} is in two parts"
            );
        }
        let link = answer["headers"]["link"].as_str();
        next = link.and_then(|link| Some(link.strip_prefix('<')?.split_once('>')?.0.to_owned()));
    }
    ensure!(
        grants.len() == world.keys.len(),
        "{parts} parts have {} grants",
        grants.len()
    );
    Ok(())
}

/// The bytes that a browser gets.
fn body(answer: &Value) -> Result<Vec<u8>> {
    let text = answer["body"].as_str().context("no body")?.as_bytes();
    Ok(if answer["isBase64Encoded"] == true {
        BASE64.decode(text)?
    } else {
        text.to_vec()
    })
}
