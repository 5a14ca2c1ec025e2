//! The people of the demonstration: fictitious, on two rosters, equal each time, with how much each
//! will spend. Their actions are left to `story`.

use fastrand::Rng;

pub(super) struct Student {
    pub(super) address: String,
    name: String,
    pub(super) group: &'static str,
    id: String,
    /// How often out of a hundred days they use the key, and at most for how many micro-dollars.
    habit: (u8, i64),
    /// The day of the story on which they claim a key; `None` for those who never do.
    pub(super) claims_on: Option<u16>,
}

/// The models that students use most, with a request's approximate cost in micro-dollars.
pub(super) const MODELS: [(&str, i64); 5] = [
    ("openai/gpt-4o-mini", 3_000),
    ("google/gemini-2.5-flash", 7_000),
    ("openai/gpt-5-mini", 12_000),
    ("deepseek/deepseek-r1-0528", 21_000),
    ("anthropic/claude-sonnet-4.5", 64_000),
];

/// The group that may use the first `FEWER` models alone.
pub(super) const RESTRICTED: &str = "Lab C";
pub(super) const FEWER: usize = 3;
const GROUPS: [&str; 4] = ["Lab A", "Lab B", RESTRICTED, "Project"];

const LIGHT: (u8, i64) = (35, 340_000);
const REGULAR: (u8, i64) = (65, 1_300_000);
/// Programs that are left running.
const HEAVY: (u8, i64) = (90, 2_600_000);

const FIRST: &str = "Ada Alan Amina Anita Barbara Carlos Chen Daan Dana Elena Emeka Farid Femke Grace Hana Hugo Ines \
                     Ivan Jamal Jana Kofi Lena Linus Mei Mila Nadia Noor Omar Oskar Priya Ravi Rosa Sofia Uma Yuki";
const LAST: &str = "Abebe Adeyemi Bauer Castro Dijkstra Eriksen Fischer Haddad Ito Jansen Kowalski Lindqvist Moreau \
                    Okafor Patel Rossi Silva Tanaka Ulrich Vargas Weber Zhang";

/// The students of one programme. `shift` makes those of two programmes differ.
pub(super) fn students(count: usize, shift: usize, last_claim: u16) -> Vec<Student> {
    let (first, last): (Vec<_>, Vec<_>) = (FIRST.split(' ').collect(), LAST.split(' ').collect());
    let student = |number: usize| {
        let mut rng = Rng::with_seed((number + 1000 * shift) as u64);
        let first = first[(number + shift) % first.len()];
        let last = last[(number / first.len() * 7 + number + 3 * shift) % last.len()];
        let habit = match rng.u8(0..100) {
            0..70 => LIGHT,
            70..94 => REGULAR,
            _ => HEAVY,
        };
        let claims_on = match rng.u8(0..100) {
            0..45 => Some(0),
            45..65 => Some(1),
            65..88 => Some(rng.u16(2..=last_claim)),
            _ => None,
        };
        Student {
            address: format!("{first}.{last}@example.edu").to_lowercase(),
            name: format!("{first} {last}"),
            group: GROUPS[rng.usize(0..GROUPS.len())],
            id: format!("s{:05}", 40_000 + 1_000 * shift + number),
            habit,
            claims_on,
        }
    };
    (0..count).map(student).collect()
}

pub(super) fn csv(students: &[Student]) -> String {
    let mut text = String::from("email,name,group,id\n");
    for Student {
        address,
        name,
        group,
        id,
        ..
    } in students
    {
        text += &format!("{address},{name},{group},{id}\n");
    }
    text
}

impl Student {
    /// The spending on one day in micro-dollars, before the cap.
    pub(super) fn spends(&self, day: u16, weekday: i8, deadline: u16) -> i64 {
        let mut rng = Rng::with_seed(self.seed().wrapping_add(u64::from(day)));
        let (chance, most) = match (deadline.checked_sub(day), self.habit) {
            // Everybody works in the last days before the deadline, and hardly anybody the day
            // after.
            (Some(0..3), (_, most)) => (95, most * 2),
            (None, (_, most)) if day == deadline + 1 => (15, most / 3),
            (_, (chance, most)) if weekday > 5 => (chance / 2, most / 2),
            (_, habit) => habit,
        };
        if rng.u8(0..100) < chance {
            rng.i64(most / 12..most)
        } else {
            0
        }
    }

    /// The spending of one day by model, each with its amount and number of requests: most of it by
    /// a usual model, some by another one for important work.
    pub(super) fn spread(&self, amount: i64) -> Vec<(&'static str, i64, u64)> {
        let models = if self.group == RESTRICTED {
            &MODELS[..FEWER]
        } else {
            &MODELS[..]
        };
        let mut rng = Rng::with_seed(self.seed());
        let usual = models[rng.usize(0..models.len())];
        let alternative = models[rng.usize(0..models.len())];
        let second = if amount > 200_000 && usual != alternative {
            amount / 3
        } else {
            0
        };
        let requests =
            |amount: i64, cost: i64| u64::try_from(amount / cost).unwrap_or(0).clamp(1, 80);
        let charge = |(model, cost): (&'static str, i64), amount: i64| {
            (model, amount, requests(amount, cost))
        };
        [charge(usual, amount - second), charge(alternative, second)]
            .into_iter()
            .filter(|(_, amount, _)| *amount > 0)
            .collect()
    }

    fn seed(&self) -> u64 {
        self.id.bytes().fold(0, |seed: u64, byte| {
            seed.wrapping_mul(31).wrapping_add(u64::from(byte) << 8)
        })
    }
}
