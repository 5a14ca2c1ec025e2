//! The first journey: from an empty account to a student's key, its spending and the mail to faculty. It goes over HTTP and knows
//! only what `ready` names, the forms of the pages, and the mails. The process is killed on the way.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use bursar_local::stack::Ready;
use bursar_local::visitor::Visitor;
use serde_json::{Value, json};

use crate::process::{Bursar, answer, http, inbox};

const ADMIN: &str = "admin@example.edu";
const FACULTY: [&str; 2] = ["faye@example.edu", "frank@example.edu"];
const STUDENT: &str = "Stu.Dent@example.edu";
const PROGRAMME: &str = "/console/programmes/cs-pilot";
const ROSTER: &str = "Email;Name;group\nStu.Dent@example.edu;Stu Dent;A\nTom@example.edu;Tom;B\n";

#[tokio::test]
async fn killed_on_its_way_it_goes_on_and_nothing_is_doubled() {
    let data = tempfile::tempdir().unwrap();
    let mut bursar = Bursar::start(data.path()).await;
    let mut journey = Journey::at(&bursar.ready).unwrap();
    for part in 0..4 {
        if part > 0 {
            bursar.end("KILL").await;
            bursar = Bursar::start(data.path()).await;
            journey.ready = bursar.ready.clone();
            journey.admin.moved_to(&bursar.ready.web);
            journey.student.moved_to(&bursar.ready.web);
        }
        journey.goes_on(part).await.unwrap();
    }
    bursar.end("INT").await;
}

/// The journey under way: its people's browsers, and the key that its student was shown.
struct Journey {
    ready: Ready,
    admin: Visitor,
    student: Visitor,
    key: String,
}

impl Journey {
    fn at(ready: &Ready) -> Result<Journey> {
        let admin = Visitor::new(&ready.web, &ready.web)?;
        let student = Visitor::new(&ready.web, &ready.web)?;
        Ok(Journey { ready: ready.clone(), admin, student, key: String::new() })
    }

    /// What happens up to a kill, and from there to the next.
    async fn goes_on(&mut self, part: usize) -> Result<()> {
        match part {
            0 => {
                self.signs_in(&self.admin, ADMIN).await?;
                self.set_up().await
            }
            1 => {
                self.signs_in(&self.student, STUDENT).await?;
                self.reveal().await
            }
            2 => self.spend().await,
            _ => self.is_told().await,
        }
    }

    async fn signs_in(&self, visitor: &Visitor, address: &str) -> Result<()> {
        visitor.submit(&visitor.get("/").await?, "/link", &[("address", address)]).await?.expect(202)?;
        // A mail whose sender was killed is sent only once the sender's lease has run out; that has tests of its own.
        self.settle().await;
        let mails = self.mails(address, "link").await;
        ensure!(mails.len() == 1, "{} link mails came to {address}", mails.len());
        let mut lines = mails[0]["text"].as_str().context("the mail has no text")?.lines();
        let link = lines.find_map(|line| Some(line[line.find("/c/")?..].trim())).context("no line is a link")?;
        visitor.submit(&visitor.get(link).await?, link, &[]).await?.expect(303)?;
        Ok(())
    }

    async fn set_up(&self) -> Result<()> {
        let now = inbox(&self.ready, "/clock", None).await;
        let today = &now["now"].as_str().context("the clock tells nothing")?[..10];
        let ends = format!("{}-12-31", today[..4].parse::<i32>()? + 1);
        let faculty = FACULTY.join(", ");
        let fields = [
            ("name", "CS pilot"),
            ("starts_on", today),
            ("ends_on", &ends),
            ("timezone", "UTC"),
            ("cap_usd", "1"),
            ("budget_usd", "$1.20"),
            ("faculty", &faculty),
        ];
        let form = self.admin.get("/console/programmes/new").await?;
        self.admin.submit(&form, "/console/programmes", &fields).await?.expect(303)?;
        let roster = format!("{PROGRAMME}/roster");
        let page = self.admin.get(&roster).await?;
        let preview = self.admin.upload(&page, &roster, &[], "roster.csv", ROSTER.as_bytes()).await?.expect(200)?;
        for _ in 0..2 {
            // The second request has no effect.
            self.admin.submit(&preview, &format!("{roster}/apply"), &[]).await?.expect(303)?;
            self.settle().await;
        }
        for address in [STUDENT, "Tom@example.edu"] {
            let mails = self.mails(address, "roster").await;
            ensure!(mails.len() == 1, "{} roster mails came to {address}", mails.len());
        }
        let page = http().get(format!("{}/?to=STU", self.ready.inbox)).send().await?.text().await?;
        let (who, mails) = page.split_once("Mails to stu").context("the mails of one person")?;
        ensure!(who.contains("students who have not claimed a key yet") && who.contains("Tom@example.edu"), "{who}");
        ensure!(mails.contains(STUDENT) && !mails.contains("Tom@example.edu"), "{mails}");
        Ok(())
    }

    async fn reveal(&mut self) -> Result<()> {
        let my = self.student.get("/my").await?.expect(200)?;
        let shown = self.student.submit(&my, "/my/cs-pilot/reveal", &[]).await?.expect(200)?;
        self.key = shown.text("key").context("no key is shown")?;
        // The form of the first press reveals no second key.
        let again = self.student.submit(&my, "/my/cs-pilot/reveal", &[]).await?.expect(409)?;
        ensure!(!again.body.contains(&self.key), "the key is shown a second time");
        self.settle().await;
        ensure!(self.mails(STUDENT, "key-shown").await.len() == 1, "one notice must come");
        Ok(())
    }

    async fn spend(&self) -> Result<()> {
        let messages = json!([{"role": "user", "content": "hello"}]);
        // So many tokens of this model are 97.5 cents, and the cap is a dollar.
        let request = json!({"model": "anthropic/claude-opus-4.5", "max_tokens": 39_000, "messages": messages});
        for expected in [[200, 200], [402, 403]] {
            let asked = http().post(format!("{}/chat/completions", self.ready.provider)).bearer_auth(&self.key);
            let (status, told) = answer(asked.json(&request)).await;
            ensure!(expected.contains(&status), "the provider answers {status}: {told}");
        }
        self.sync().await
    }

    async fn is_told(&self) -> Result<()> {
        let my = self.student.get("/my").await?.expect(200)?;
        let spent = my.attribute("grant", "data-spent-usd").context("no spending")?;
        ensure!(spent.starts_with("0.97"), "the student reads {spent}");
        // A second sync finds nothing new, and no mail is sent twice.
        self.sync().await?;
        for address in FACULTY {
            // One key has the whole budget, so the budget's threshold is mailed as well.
            let alerts = self.mails(address, "alert").await;
            let subjects: BTreeSet<_> = alerts.iter().filter_map(|mail| mail["subject"].as_str()).collect();
            let [promised, used] =
                ["CS pilot has no room for another key in its $1.20 (0% used)", "CS pilot has used 81% of $1.20"];
            ensure!(alerts.len() == 2 && subjects == BTreeSet::from([promised, used]), "{subjects:?}");
        }
        Ok(())
    }

    async fn sync(&self) -> Result<()> {
        let report = inbox(&self.ready, "/sync", Some(json!({}))).await;
        ensure!(report["keys_listed"] == 1, "{report}");
        self.settle().await;
        Ok(())
    }

    async fn settle(&self) {
        inbox(&self.ready, "/settle", Some(json!({}))).await;
    }

    /// The mails of a kind to an address in exactly this spelling.
    async fn mails(&self, to: &str, kind: &str) -> Vec<Value> {
        let all = inbox(&self.ready, "/mails", None).await;
        let wanted = |mail: &&Value| mail["to"] == json!([to]) && mail["kind"] == kind;
        all.as_array().unwrap().iter().filter(wanted).cloned().collect()
    }
}
