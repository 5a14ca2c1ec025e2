//! The first journey, step by step: from an empty account to a student's key, its spending and the mail to
//! faculty. It goes over HTTP and knows only what `ready` names, the forms of the pages, and the mails. The
//! process is killed on the way.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use bursar_local::stack::Ready;
use bursar_local::visitor::{Page, Visitor};
use reqwest::Client;
use serde_json::{Value, json};

use crate::process::{Bursar, answer};

const ADMIN: &str = "admin@example.edu";
const FACULTY: [&str; 2] = ["faye@example.edu", "frank@example.edu"];
const STUDENT: &str = "Stu.Dent@example.edu";
const LATE: &str = "lara@example.edu";
const PROGRAMME: &str = "/console/programmes/cs-pilot";
const ROSTER: &str =
    "Email; Name ;group;office\nStu.Dent@example.edu;Stu Dent;A;12\nmallory@;Mallory;B;13\nTom@example.edu;Tom;B;14\n";

#[tokio::test]
async fn killed_on_its_way_it_goes_on_and_nothing_is_doubled() {
    let data = tempfile::tempdir().unwrap();
    let mut bursar = Bursar::start(data.path()).await.unwrap();
    let mut journey = Journey::at(&bursar.ready).unwrap();
    for part in 0..4 {
        if part > 0 {
            bursar.kill().await.unwrap();
            bursar = Bursar::start(data.path()).await.unwrap();
            journey.moved_to(&bursar.ready);
        }
        journey.goes_on(part).await.unwrap();
    }
    bursar.interrupt().await.unwrap();
}

#[tokio::test]
#[ignore = "24 journeys: cargo xtask long demonstration"]
async fn it_ends_well_at_each_hour() {
    for hours in 0..24 {
        let data = tempfile::tempdir().unwrap();
        let bursar = Bursar::start(data.path()).await.unwrap();
        let mut journey = Journey::at(&bursar.ready).unwrap();
        journey.wait(hours).await.unwrap();
        for part in 0..4 {
            journey.goes_on(part).await.with_context(|| format!("begun {hours} hours from now")).unwrap();
        }
        bursar.interrupt().await.unwrap();
    }
}

/// The journey under way: its people's browsers, and what its student has in hand.
struct Journey {
    ready: Ready,
    http: Client,
    admin: Visitor,
    student: Visitor,
    /// The key that was shown.
    key: Option<String>,
}

impl Journey {
    fn at(ready: &Ready) -> Result<Journey> {
        let (admin, student) = (Visitor::of(&ready.web, &ready.web)?, Visitor::of(&ready.web, &ready.web)?);
        Ok(Journey { ready: ready.clone(), http: Client::new(), admin, student, key: None })
    }

    /// Points the browsers at the address where the bundle is served now.
    fn moved_to(&mut self, ready: &Ready) {
        self.ready = ready.clone();
        self.admin.moved_to(&ready.web);
        self.student.moved_to(&ready.web);
    }

    /// What happens up to a kill, and from there to the next.
    async fn goes_on(&mut self, part: usize) -> Result<()> {
        match part {
            0 => {
                self.asks(true).await?;
                self.signs_in(true).await?;
                self.create().await?;
                let preview = self.preview().await?;
                self.apply(&preview).await
            }
            1 => {
                self.add_person().await?;
                self.asks(false).await?;
                self.signs_in(false).await?;
                self.reveal().await
            }
            2 => {
                self.spend().await?;
                self.sync().await
            }
            _ => {
                self.look_around().await?;
                self.alerted().await
            }
        }
    }

    async fn asks(&mut self, admin: bool) -> Result<()> {
        let (visitor, address) = if admin { (&self.admin, ADMIN) } else { (&self.student, " stu.dent@EXAMPLE.edu ") };
        let start = visitor.get("/").await?.expect(200)?;
        let asked = visitor.submit(&start, "/link", &[("address", address)]).await?.expect(202)?;
        ensure!(asked.offers("/code"), "the page does not take the mail's code");
        // A mail whose sender was killed is sent only once the sender's lease has run out; that has tests of its own.
        self.settle().await
    }

    async fn signs_in(&mut self, admin: bool) -> Result<()> {
        let address = if admin { ADMIN } else { STUDENT };
        let mails = self.mails(address, "link").await?;
        ensure!(mails.len() == 1, "{} link mails came to {address}", mails.len());
        let text = mails[0]["text"].as_str().context("the mail has no text")?;
        let link = text.lines().map(str::trim).find(|line| line.starts_with("http")).context("no line is a link")?;
        let path = &link[link.find("/c/").context("the link does not lead here")?..];
        let visitor = if admin { &self.admin } else { &self.student };
        let page = visitor.get(path).await?.expect(200)?;
        let signed_in = visitor.submit(&page, path, &[]).await?.expect(303)?;
        let home = if admin { "/console" } else { "/my" };
        ensure!(signed_in.location() == Some(home), "it leads to {:?}", signed_in.location());
        visitor.follow(&signed_in).await?.expect(200)?;
        Ok(())
    }

    async fn create(&mut self) -> Result<()> {
        let form = self.admin.get("/console/programmes/new").await?.expect(200)?;
        let (_, now) = answer(self.http.get(format!("{}/clock", self.ready.inbox))).await?;
        let today = &now["now"].as_str().context("the clock tells nothing")?[..10];
        let year: i32 = today[..4].parse()?;
        let (ends, faculty) = (format!("{}-12-31", year + 1), FACULTY.join(", "));
        let fields = [
            ("name", "CS pilot"),
            ("starts_on", today),
            ("ends_on", &ends),
            ("timezone", "UTC"),
            ("cap_usd", "1"),
            ("pot_usd", "$1.20"),
            ("faculty", &faculty),
        ];
        let created = self.admin.submit(&form, "/console/programmes", &fields).await?.expect(303)?;
        ensure!(created.location() == Some(PROGRAMME), "it leads to {:?}", created.location());
        Ok(())
    }

    async fn preview(&mut self) -> Result<Page> {
        let overview = self.admin.get(PROGRAMME).await?.expect(200)?;
        let roster = format!("{PROGRAMME}/roster");
        let preview = self.admin.upload(&overview, &roster, &[], "roster.csv", ROSTER.as_bytes()).await?.expect(200)?;
        for (hook, number) in [("added", "2"), ("changed", "0"), ("refused", "1")] {
            ensure!(preview.text(hook).as_deref() == Some(number), "{hook} is {:?}", preview.text(hook));
        }
        ensure!(preview.attribute("refused-row", "data-line").as_deref() == Some("3"), "another line is refused");
        ensure!(preview.text("ignored-columns").is_some_and(|text| text.contains("office")), "no column is ignored");
        Ok(preview)
    }

    async fn apply(&mut self, preview: &Page) -> Result<()> {
        for _ in 0..2 {
            // The second press has no effect.
            self.admin.submit(preview, &format!("{PROGRAMME}/roster/apply"), &[]).await?.expect(303)?;
            self.settle().await?;
        }
        for address in [STUDENT, "Tom@example.edu"] {
            let mails = self.mails(address, "roster").await?;
            ensure!(mails.len() == 1, "{} roster mails came to {address}", mails.len());
        }
        Ok(())
    }

    async fn add_person(&mut self) -> Result<()> {
        let overview = self.admin.get(PROGRAMME).await?.expect(200)?;
        let people = format!("{PROGRAMME}/people");
        self.admin
            .submit(&overview, &people, &[("email", LATE), ("name", "Lara"), ("group", "A")])
            .await?
            .expect(303)?;
        let grants = self.admin.get(&format!("{PROGRAMME}/grants")).await?.expect(200)?.all("grant");
        let states: Vec<_> = grants.iter().map(|grant| grant.get("data-state")).collect();
        ensure!(states == ["invited"; 3], "the grants are {states:?}");
        self.settle().await
    }

    async fn reveal(&mut self) -> Result<()> {
        let my = self.student.get("/my").await?.expect(200)?;
        ensure!(my.attribute("grant", "data-state").as_deref() == Some("invited"), "{:?}", my.all("grant"));
        let shown = self.student.submit(&my, "/my/cs-pilot/reveal", &[]).await?.expect(200)?;
        let key = shown.text("key").context("no key is shown")?;
        ensure!(shown.body.contains("curl"), "the page does not say how to use it");
        // The form of the first press reveals no second key.
        let again = self.student.submit(&my, "/my/cs-pilot/reveal", &[]).await?.expect(409)?;
        ensure!(!again.body.contains(&key), "the key is shown a second time");
        self.settle().await?;
        ensure!(self.mails(STUDENT, "key-shown").await?.len() == 1, "no notice came");
        self.key = Some(key);
        Ok(())
    }

    async fn spend(&mut self) -> Result<()> {
        let key = self.key.as_ref().context("no key was shown")?;
        // 39,000 tokens of this model are 97.5 cents.
        let request = json!({
            "model": "anthropic/claude-opus-4.5",
            "max_tokens": 39_000,
            "messages": [{"role": "user", "content": "hello"}],
        });
        let completions = format!("{}/chat/completions", self.ready.provider);
        let complete = || {
            let asked = self.http.post(&completions).bearer_auth(key);
            answer(asked.header("content-type", "application/json").body(request.to_string()))
        };
        let (status, completion) = complete().await?;
        ensure!(status == 200, "the provider answers {status}: {completion}");
        let (more, _) = complete().await?;
        ensure!(more == 402 || more == 403, "the cap does not hold: {more}");
        Ok(())
    }

    async fn sync(&mut self) -> Result<()> {
        let (status, report) = answer(self.http.post(format!("{}/sync", self.ready.inbox))).await?;
        ensure!(status == 200 && report["keys_listed"] == 1, "the sync answers {status}: {report}");
        self.settle().await
    }

    async fn look_around(&mut self) -> Result<()> {
        let my = self.student.get("/my").await?.expect(200)?;
        let spent = my.attribute("grant", "data-spent-usd").context("no spending")?;
        ensure!(spent.starts_with("0.97"), "the student reads {spent}");
        let overview = self.admin.get(PROGRAMME).await?.expect(200)?;
        for (hook, value) in [("spent", spent.as_str()), ("pot", "1.200000"), ("reserved", "1.000000")] {
            ensure!(overview.attribute(hook, "data-usd").as_deref() == Some(value), "{hook}: {:?}", overview.all(hook));
        }
        let grants = self.admin.get(&format!("{PROGRAMME}/grants")).await?.expect(200)?.all("grant");
        let of_student =
            grants.iter().find(|grant| grant.get("data-email") == STUDENT).context("the student is not listed")?;
        ensure!(of_student.get("data-state") == "live" && of_student.get("data-spent-usd") == spent, "{of_student:?}");
        Ok(())
    }

    async fn alerted(&mut self) -> Result<()> {
        // A second sync finds nothing new, and no mail is sent twice.
        self.sync().await?;
        for address in FACULTY {
            // One key has the whole pot, so the pot's threshold is mailed as well.
            let alerts = self.mails(address, "alert").await?;
            let subjects: BTreeSet<_> = alerts.iter().filter_map(|mail| mail["subject"].as_str()).collect();
            let [promised, used] = ["CS pilot has promised all of $1.20 (0% used)", "CS pilot has used 81% of $1.20"];
            ensure!(alerts.len() == 2 && subjects == BTreeSet::from([promised, used]), "{subjects:?}");
        }
        let alerts = self.admin.get(&format!("{PROGRAMME}/alerts")).await?.expect(200)?.all("alert");
        let mut told: Vec<_> =
            alerts.iter().map(|alert| (alert.get("data-threshold"), alert.get("data-outcome"))).collect();
        told.sort_unstable();
        ensure!(told == [("80", "sent"), ("80", "sent"), ("reserved", "sent"), ("reserved", "sent")], "{told:?}");
        Ok(())
    }

    async fn wait(&self, hours: u32) -> Result<()> {
        let clock = self.http.post(format!("{}/clock", self.ready.inbox)).json(&json!({"advance_s": 3600 * hours}));
        let (status, now) = answer(clock).await?;
        ensure!(status == 200, "the clock is not moved: {status} {now}");
        Ok(())
    }

    async fn settle(&self) -> Result<()> {
        let (status, _) = answer(self.http.post(format!("{}/settle", self.ready.inbox))).await?;
        ensure!(status == 200, "it does not settle: {status}");
        Ok(())
    }

    /// The mails of a kind to an address in exactly this spelling.
    async fn mails(&self, to: &str, kind: &str) -> Result<Vec<Value>> {
        let (_, all) = answer(self.http.get(format!("{}/mails", self.ready.inbox))).await?;
        let wanted = |mail: &&Value| mail["to"] == json!([to]) && mail["kind"] == kind;
        Ok(all.as_array().context("there is no list of mails")?.iter().filter(wanted).cloned().collect())
    }
}
