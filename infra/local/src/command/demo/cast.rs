//! The people of the demonstration: fictitious, on two rosters, equal each time, with how much each will
//! spend. Their actions are left to `story`.

use fastrand::Rng;

/// A student on a roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Student {
    pub(super) address: String,
    pub(super) name: String,
    pub(super) group: &'static str,
    pub(super) id: String,
    pub(super) habit: Habit,
    /// The day of the story on which they claim a key; `None` for those who never do.
    pub(super) claims_on: Option<u16>,
}

/// The way a student uses a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Habit {
    /// A question now and then.
    Light,
    Regular,
    /// Programs that are left running.
    Heavy,
}

/// The models that students use most, with a request's approximate cost in micro-dollars.
pub(super) const MODELS: [(&str, i64); 5] = [
    ("openai/gpt-4o-mini", 3_000),
    ("google/gemini-2.5-flash", 7_000),
    ("openai/gpt-5-mini", 12_000),
    ("deepseek/deepseek-r1-0528", 21_000),
    ("anthropic/claude-sonnet-4.5", 64_000),
];

pub(super) const GROUPS: [&str; 4] = ["Lab A", "Lab B", "Lab C", "Project"];

const FIRST: [&str; 40] = [
    "Ada", "Alan", "Amina", "Anita", "Barbara", "Björn", "Carlos", "Chen", "Chloé", "Daan", "Dana", "Elena", "Emeka",
    "Farid", "Femke", "Grace", "Hana", "Hugo", "Ines", "Ivan", "Jamal", "Jana", "Kofi", "Lena", "Linus", "Lucía",
    "Mei", "Mila", "Nadia", "Noor", "Omar", "Oskar", "Priya", "Ravi", "Rosa", "Sofia", "Tomás", "Uma", "Yuki", "Zoë",
];

const LAST: [&str; 25] = [
    "Abebe",
    "Adeyemi",
    "Bauer",
    "Castro",
    "Dijkstra",
    "Eriksen",
    "Fischer",
    "García",
    "Haddad",
    "Ito",
    "Jansen",
    "Kowalski",
    "Lindqvist",
    "Moreau",
    "Novák",
    "Okafor",
    "Patel",
    "Rossi",
    "Schäfer",
    "Silva",
    "Tanaka",
    "Ulrich",
    "Vargas",
    "Weber",
    "Zhang",
];

/// The students of one programme. `shift` makes those of two programmes differ.
pub(super) fn students(count: usize, shift: usize, last_claim: u16) -> Vec<Student> {
    (0..count).map(|number| student(number, shift, last_claim)).collect()
}

fn student(number: usize, shift: usize, last_claim: u16) -> Student {
    let mut rng = Rng::with_seed((number + 1000 * shift) as u64);
    // Forty first names and twenty-five last names, no pair twice.
    let first = FIRST[(number + shift) % FIRST.len()];
    let last = LAST[(number / FIRST.len() * 7 + number + 3 * shift) % LAST.len()];
    let habit = match rng.u8(0..100) {
        0..70 => Habit::Light,
        70..94 => Habit::Regular,
        _ => Habit::Heavy,
    };
    let claims_on = match rng.u8(0..100) {
        0..45 => Some(0),
        45..65 => Some(1),
        65..88 => Some(rng.u16(2..=last_claim.max(2))),
        _ => None,
    };
    Student {
        address: format!("{}.{}@example.edu", plain(first), plain(last)),
        name: format!("{first} {last}"),
        group: GROUPS[rng.usize(0..GROUPS.len())],
        id: format!("s{:05}", 40_000 + 1_000 * shift + number),
        habit,
        claims_on,
    }
}

/// The roster as an exported CSV file.
pub(super) fn csv(students: &[Student]) -> String {
    let mut text = String::from("email,name,group,id\n");
    for Student { address, name, group, id, .. } in students {
        text.push_str(&format!("{address},{name},{group},{id}\n"));
    }
    text
}

/// The student's spending on one day in micro-dollars, before the cap.
pub(super) fn spends(student: &Student, day: u16, weekday: i8, deadline: u16) -> i64 {
    let mut rng = Rng::with_seed(
        student.address.bytes().fold(u64::from(day), |seed, byte| seed.wrapping_mul(31) + u64::from(byte)),
    );
    let (chance, most) = match student.habit {
        Habit::Light => (35, 340_000),
        Habit::Regular => (65, 1_300_000),
        Habit::Heavy => (90, 2_600_000),
    };
    let (chance, most) = match (deadline.checked_sub(day), weekday) {
        // Everybody works in the last days before the deadline, and hardly anybody the day after.
        (Some(0..3), _) => (95, most * 2),
        (None, _) if day == deadline + 1 => (15, most / 3),
        (_, 6 | 7) => (chance / 2, most / 2),
        _ => (chance, most),
    };
    if rng.u8(0..100) < chance { rng.i64(most / 12..most) } else { 0 }
}

/// The student's spending of one day by model, each with its amount and number of requests.
pub(super) fn spread(student: &Student, amount: i64) -> Vec<(&'static str, i64, i64)> {
    let seed =
        student.address.bytes().fold(0_usize, |seed, byte| seed.wrapping_mul(31).wrapping_add(usize::from(byte)));
    // A usual model, and another for important work.
    let (usual, other) = (MODELS[seed % MODELS.len()], MODELS[seed / 7 % MODELS.len()]);
    let second = if amount > 200_000 && usual != other { amount / 3 } else { 0 };
    let of = |(model, cost): (&'static str, i64), amount: i64| (model, amount, (amount / cost).clamp(1, 80));
    [of(usual, amount - second), of(other, second)].into_iter().filter(|(_, amount, _)| *amount > 0).collect()
}

fn plain(name: &str) -> String {
    let letters = name.chars().map(|letter| match letter.to_lowercase().next().unwrap_or(letter) {
        'á' | 'ä' | 'å' => 'a',
        'é' | 'ë' => 'e',
        'í' => 'i',
        'ö' | 'ó' => 'o',
        letter => letter,
    });
    letters.collect()
}
