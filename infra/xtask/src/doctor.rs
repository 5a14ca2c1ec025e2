//! `doctor`: what stands between a deployment and claim day, one question to the AWS CLI a line. It reads only, and it never asks
//! for the value of the secret. A query makes a few words of each answer, which are compared with the words that are wanted.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use xshell::Shell;

const USAGE: &str =
    "cargo xtask doctor --stack NAME [--students N] [--at-once N] [--region REGION] [--profile PROFILE]";
const FUNCTIONS: [&str; 5] = ["Claim", "Console", "UsageSync", "ThresholdAlerts", "Mail"];

/// Two links for each student, of which students' links get four tenths of the day's quota.
const DAYS_MAILS_OF_ONE: f64 = 5.0;
/// The seconds within which a lecture hall should have its links.
const PATIENCE: f64 = 300.0;
/// One copy for so many of those who press within ten seconds: a claim takes about two.
const STUDENTS_OF_A_COPY: u32 = 4;
/// Copies for all that runs beside the claims.
const BESIDE: u32 = 20;
/// Of so many students one presses within the first ten seconds, but of all together no more than the most.
const STUDENTS_OF_ONE_AT_ONCE: u32 = 4;
const MOST_AT_ONCE: u32 = 1_000;

const PUT_BACK: &str = "Put it back: section Something was changed by hand of infra/RUNBOOK.md.";
const DEPLOY: &str = "Deploy template.yaml again, of the version that you run.";
const TABLE: &str = "Set it again as section Restore the table of infra/RUNBOOK.md does.";
const RECORDS: &str = "Publish its DNS records: section Before the first student of infra/RUNBOOK.md.";
const QUOTA: &str = "Ask AWS for more: section SES out of the sandbox of infra/RUNBOOK.md.";

struct Options {
    stack: String,
    students: Option<u32>,
    at_once: Option<u32>,
    /// Region and profile, for each call.
    through: Vec<String>,
}

/// The stack: its parameters and outputs by name, and its resources by name with type and id.
struct Deployment {
    values: BTreeMap<String, String>,
    resources: BTreeMap<String, (String, String)>,
}

/// What became of a question: the words of the answer, no such thing, or why there is no answer.
enum Answer {
    Told(String),
    Absent,
    Unknown(String),
}

enum Wanted {
    /// Just these words, or others.
    One(&'static [&'static str]),
    Words(String),
    /// A number, and then maybe others, of which this says what is wrong.
    Numbers(Box<dyn Fn(&[f64]) -> Option<String>>),
}
use Wanted::{Numbers, One, Words};

/// A line of the table: its name, the words for `aws`, the query, what is wanted, and what to do about anything else.
type Check = (String, Vec<String>, String, Wanted, &'static str);

pub(crate) fn doctor(_: &Shell, words: &[String]) -> anyhow::Result<()> {
    let options = Options::read(words)?;
    let deployment = Deployment::of(&options)?;
    let mut out = std::io::stdout().lock();
    let (mut wrong, mut unknown) = (0, 0);
    let mut tell = |name: &str, found: Result<String, Found>| {
        let (word, text) = match found {
            Ok(text) => ("ok", text),
            Err(Found::Wrong(text)) => {
                wrong += 1;
                ("MEND", text)
            }
            Err(Found::Unknown(text)) => {
                unknown += 1;
                ("not checked", text)
            }
        };
        writeln!(out, "{word:<12} {name}: {text}")
    };
    for (name, words, query, wanted, remedy) in checks(&options, &deployment) {
        // A resource that the stack lacks has no name that could be asked about.
        let found = match words.iter().any(String::is_empty) {
            true => Err(Found::Wrong(format!("The stack lacks it. {DEPLOY}"))),
            false => judged(options.ask(&words, &query)?, &wanted, remedy),
        };
        tell(&name, found)?;
    }
    tell("mail identity", options.identity(deployment.value("MailFrom"))?)?;
    for (name, url) in [
        ("pages", deployment.value("Origin").to_owned()),
        ("provider", format!("{}/models", deployment.value("OpenRouterBaseUrl"))),
    ] {
        tell(name, reached(&url))?;
    }
    if unknown > 0 {
        eprintln!(
            "doctor: {unknown} checks could not be made, and each says why: nothing is known of what they are about"
        );
    }
    ensure!(wrong == 0, "{wrong} of these stand between this deployment and claim day");
    Ok(())
}

/// Every check of a deployment, in the order in which an operator would mend.
fn checks(options: &Options, deployment: &Deployment) -> Vec<Check> {
    let (stack, table) = (options.stack.as_str(), deployment.value("Table"));
    let id = |name: &str| deployment.id(name);
    let check = |name: &str, words: &[&str], query: &str, wanted, remedy| -> Check {
        (name.to_owned(), words.iter().map(|&word| word.to_owned()).collect(), query.to_owned(), wanted, remedy)
    };
    let mut checks = vec![
        check(
            "stack",
            &["cloudformation", "describe-stacks", "--stack-name", stack],
            "Stacks[0].StackStatus",
            One(&["CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"]),
            "Wait for the end of a change; after a failure see what failed first: aws cloudformation describe-stack-events.",
        ),
        check(
            "stack policy",
            &["cloudformation", "get-stack-policy", "--stack-name", stack],
            "[contains(StackPolicyBody || '', 'LogicalResourceId/Table'), contains(StackPolicyBody || '', 'LogicalResourceId/ManagementKey')]",
            One(&["True True"]),
            "A deployment may replace the table or the secret. Set infra/stack-policy.json: aws cloudformation set-stack-policy.",
        ),
        check(
            "secret",
            &["secretsmanager", "describe-secret", "--secret-id", id("ManagementKey")],
            "[DeletedDate != `null`, length(values(VersionIdsToStages || `{}`)[?contains(@, 'AWSCURRENT')]), length(values(VersionIdsToStages || `{}`)[?contains(@, 'AWSPENDING') && !contains(@, 'AWSCURRENT')])]",
            One(&["False 1 0"]),
            "It is to be not deleted, to hold one key, and no other one is to wait: sections Deploy and Rotate the management key of infra/RUNBOOK.md.",
        ),
        check(
            "mail sandbox",
            &["sesv2", "get-account"],
            "ProductionAccessEnabled",
            One(&["True"]),
            "SES sends to verified addresses only. Ask AWS for production access, days before claim day: section SES out of the sandbox of infra/RUNBOOK.md.",
        ),
        check(
            "mail sending",
            &["sesv2", "get-account"],
            "[SendingEnabled, EnforcementStatus]",
            One(&["True HEALTHY"]),
            "See why, and answer AWS: section Mail is paused of infra/RUNBOOK.md.",
        ),
        check(
            "mail quota",
            &["sesv2", "get-account"],
            "SendQuota.[Max24HourSend, MaxSendRate]",
            quota(options.students),
            QUOTA,
        ),
        check(
            "mail events",
            &["sesv2", "get-configuration-set-event-destinations", "--configuration-set-name", id("MailEvents")],
            &format!(
                "EventDestinations[?SnsDestination.TopicArn=='{}'] | [0].[Enabled, contains(MatchingEventTypes, 'DELIVERY'), contains(MatchingEventTypes, 'BOUNCE'), contains(MatchingEventTypes, 'COMPLAINT')]",
                id("MailOutcomes")
            ),
            One(&["True True True True"]),
            PUT_BACK,
        ),
        check(
            "concurrency",
            &["lambda", "get-account-settings"],
            "AccountLimit.UnreservedConcurrentExecutions",
            concurrency(options.at_once),
            "Ask AWS for a higher quota: section Concurrency before claim day of infra/RUNBOOK.md.",
        ),
    ];
    for function in FUNCTIONS {
        checks.push(check(&format!("function {function}"), &["lambda", "get-function", "--function-name", id(function)], "[Configuration.LastUpdateStatus, Configuration.Environment.Variables.BURSAR_TABLE, Concurrency.ReservedConcurrentExecutions == `0`]", Words(format!("Successful {table} False")), "After a failed update deploy again; with another table see section Restore the table of infra/RUNBOOK.md before you deploy; one that is stopped runs after aws lambda delete-function-concurrency."));
    }
    checks.extend([
        check("table", &["dynamodb", "describe-table", "--table-name", table], "Table.[TableStatus, StreamSpecification.StreamViewType, DeletionProtectionEnabled, SSEDescription.Status]", One(&["ACTIVE NEW_AND_OLD_IMAGES True ENABLED", "UPDATING NEW_AND_OLD_IMAGES True ENABLED"]), TABLE),
        check("table recovery", &["dynamodb", "describe-continuous-backups", "--table-name", table], "ContinuousBackupsDescription.PointInTimeRecoveryDescription.[PointInTimeRecoveryStatus, RecoveryPeriodInDays]", One(&["ENABLED 35"]), TABLE),
        check("table expiry", &["dynamodb", "describe-time-to-live", "--table-name", table], "TimeToLiveDescription.[TimeToLiveStatus, AttributeName]", One(&["ENABLED ttl", "ENABLING ttl"]), TABLE),
    ]);
    for reader in ["ThresholdAlertsSpending", "MailUrgent"] {
        checks.push(check(&format!("stream {reader}"), &["lambda", "get-event-source-mapping", "--uuid", id(reader)], &format!("[State, contains(EventSourceArn, ':table/{table}/stream/')]"), One(&["Enabled True"]), "Switch it on: aws lambda update-event-source-mapping --enabled; one of another table: section Restore the table of infra/RUNBOOK.md."));
    }
    for schedule in ["ConsoleWork", "MailDrain", "ThresholdAlertsWatch", "UsageSyncNightly", "UsageSyncResume"] {
        checks.push(check(
            &format!("schedule {schedule}"),
            &["events", "describe-rule", "--name", id(schedule)],
            "State",
            One(&["ENABLED"]),
            "Switch it on: aws events enable-rule.",
        ));
    }
    let alarms: Vec<&str> = deployment
        .resources
        .values()
        .filter(|(kind, _)| kind == "AWS::CloudWatch::Alarm")
        .map(|(_, id)| id.as_str())
        .collect();
    let all = [&["cloudwatch", "describe-alarms", "--alarm-names"], alarms.as_slice()].concat();
    checks.extend([
        check("operator's mail", &["sns", "list-subscriptions-by-topic", "--topic-arn", id("OperatorTopic")], "length(Subscriptions[?starts_with(SubscriptionArn, 'arn:')]) > `0`", One(&["True"]), "Nobody hears an alarm. Press the link in the mail from AWS, which may lie under junk; a new one: section Deploy of infra/RUNBOOK.md."),
        check("alarms", if alarms.is_empty() { &[""] } else { &all }, "[length(MetricAlarms), join(' ', MetricAlarms[?StateValue=='ALARM'].AlarmName), join(' ', MetricAlarms[?!ActionsEnabled].AlarmName)]", Words(alarms.len().to_string()), "Those that are named ring, and their descriptions say what to do, or are silenced: aws cloudwatch enable-alarm-actions. Fewer than wanted: some were deleted by hand."),
        check("dead letters", &["sqs", "get-queue-attributes", "--queue-url", id("DeadLetters"), "--attribute-names", "ApproximateNumberOfMessages"], "Attributes.ApproximateNumberOfMessages", One(&["0"]), "Functions gave up on events. Read why, and empty the queue once each is understood: section An alarm rings of infra/RUNBOOK.md."),
    ]);
    let domain = deployment.value("DomainName");
    if !domain.is_empty() {
        checks.extend([
            check("certificate", &["acm", "describe-certificate", "--certificate-arn", deployment.value("CertificateArn")], "Certificate.[Status, RenewalSummary.RenewalStatus]", One(&["ISSUED None", "ISSUED SUCCESS", "ISSUED PENDING_AUTO_RENEWAL"]), "Publish its validation record in DNS: aws acm describe-certificate shows it. An imported one is imported again."),
            check("domain", &["apigatewayv2", "get-domain-name", "--domain-name", domain], "DomainNameConfigurations[0].DomainNameStatus", One(&["AVAILABLE"]), "Wait some minutes; if it stays so, look at its certificate."),
            check("domain's API", &["apigatewayv2", "get-api-mappings", "--domain-name", domain], &format!("contains(Items[].ApiId, '{}')", id("Api")), One(&["True"]), PUT_BACK),
        ]);
    }
    checks
}

fn quota(students: Option<u32>) -> Wanted {
    Numbers(Box::new(move |numbers| {
        let ([day, rate], Some(students)) = (numbers, students) else { return None };
        let (students, need) = (f64::from(students), f64::from(students) * DAYS_MAILS_OF_ONE);
        // A quota below zero is none.
        if *day >= 0.0 && *day < need {
            return Some(format!("{students} students need {need} mails a day."));
        }
        let takes = students / rate.max(f64::MIN_POSITIVE);
        (takes > PATIENCE).then(|| format!("{students} links take {takes:.0} seconds."))
    }))
}

fn concurrency(at_once: Option<u32>) -> Wanted {
    // For a hall whose size nobody said, a hundred copies.
    let need = at_once.map_or(100, |students| students.div_ceil(STUDENTS_OF_A_COPY)) + BESIDE;
    Numbers(Box::new(move |numbers| {
        let free = numbers.first()?;
        (*free < f64::from(need)).then(|| format!("Claims of so many at once, and the rest, need {need} copies."))
    }))
}

/// What else than well a check can end.
enum Found {
    Wrong(String),
    Unknown(String),
}

fn judged(answer: Answer, wanted: &Wanted, remedy: &str) -> Result<String, Found> {
    let found = match answer {
        Answer::Told(found) => found,
        Answer::Absent => return Err(Found::Wrong(format!("AWS knows no such thing. {remedy}"))),
        Answer::Unknown(why) => return Err(Found::Unknown(why)),
    };
    let is_not = |wanted: &str| Err(Found::Wrong(format!("{found}, in place of {wanted}. {remedy}")));
    match wanted {
        One(known) if !known.contains(&found.as_str()) => is_not(&known.join(" or ")),
        Words(words) if *words != found => is_not(words),
        Numbers(wrong) => {
            let numbers = found.split(' ').map(str::parse).collect::<Result<Vec<f64>, _>>();
            match numbers.map(|numbers| wrong(&numbers)) {
                Ok(None) => Ok(found),
                Ok(Some(why)) => Err(Found::Wrong(format!("{found}. {why} {remedy}"))),
                Err(_) => Err(Found::Unknown(format!("unexpected answer: {found}"))),
            }
        }
        _ => Ok(found),
    }
}

impl Options {
    fn read(words: &[String]) -> anyhow::Result<Options> {
        let (mut stack, mut students, mut at_once, mut through) = (None, None, None, Vec::new());
        for pair in words.chunks(2) {
            let [word, value] = pair else { bail!("{} needs a value: {USAGE}", pair.join(" ")) };
            let number = || value.parse().with_context(|| format!("{word} takes a number, not {value}"));
            match word.as_str() {
                "--stack" => stack = Some(value.clone()),
                "--students" => students = Some(number()?),
                "--at-once" => at_once = Some(number()?),
                "--region" | "--profile" => through.extend([word.clone(), value.clone()]),
                _ => bail!("doctor knows no {word}: {USAGE}"),
            }
        }
        let stack = stack.with_context(|| format!("which stack? {USAGE}"))?;
        // Where nobody said how many press at once, it is guessed from the students.
        let guess = |students: u32| students.div_ceil(STUDENTS_OF_ONE_AT_ONCE).min(MOST_AT_ONCE);
        Ok(Options { stack, students, at_once: at_once.or(students.map(guess)), through })
    }

    /// The raw text of an answer.
    fn run(&self, words: &[String], query: &str) -> anyhow::Result<Answer> {
        let mut aws = Command::new("aws");
        aws.args(words).args(["--output", "text", "--query", query]).args(&self.through);
        // A pager would wait for a key.
        let output = match aws.env("AWS_PAGER", "").stdin(Stdio::null()).output() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                bail!("doctor asks through the AWS CLI, which is not here: install it from https://aws.amazon.com/cli")
            }
            output => output.context("aws does not start")?,
        };
        if output.status.success() {
            return Ok(Answer::Told(String::from_utf8_lossy(&output.stdout).into_owned()));
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        // `An error occurred (ResourceNotFoundException) when calling …`
        let code =
            stderr.split_once("An error occurred (").and_then(|(_, rest)| rest.split(')').next()).unwrap_or_default();
        if ["NotFound", "NonExistent", "DoesNotExist"].iter().any(|each| code.contains(each))
            || stderr.contains("does not exist")
        {
            return Ok(Answer::Absent);
        }
        let why = stderr.lines().map(str::trim).find(|line| !line.is_empty());
        Ok(Answer::Unknown(why.unwrap_or("aws failed and said nothing").to_owned()))
    }

    /// The words of an answer, with one space between them.
    fn ask(&self, words: &[String], query: &str) -> anyhow::Result<Answer> {
        Ok(match self.run(words, query)? {
            Answer::Told(text) => Answer::Told(text.split_whitespace().collect::<Vec<_>>().join(" ")),
            other => other,
        })
    }

    /// The identity that covers a sender: the address itself, its domain, or a domain above that.
    fn identity(&self, sender: &str) -> anyhow::Result<Result<String, Found>> {
        let mut name = sender;
        loop {
            let words = ["sesv2", "get-email-identity", "--email-identity", name].map(str::to_owned);
            match self
                .ask(&words, "[VerifiedForSendingStatus, DkimAttributes.SigningEnabled, DkimAttributes.Status]")?
            {
                Answer::Absent if name.contains(['@', '.']) => {
                    name = name.split_once(['@', '.']).map_or("", |(_, above)| above)
                }
                answer => return Ok(judged(answer, &One(&["True True SUCCESS"]), RECORDS)),
            }
        }
    }
}

impl Deployment {
    fn of(options: &Options) -> anyhow::Result<Deployment> {
        let stack = &options.stack;
        let rows = |command: &str, query: &str| -> anyhow::Result<Vec<Vec<String>>> {
            let words = ["cloudformation", command, "--stack-name", stack].map(str::to_owned);
            match options.run(&words, query)? {
                Answer::Told(text) => {
                    Ok(text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
                }
                Answer::Absent => bail!(
                    "there is no stack {stack} in this account and region; name another with --region or --profile"
                ),
                Answer::Unknown(why) => bail!("the stack {stack} cannot be described: {why}"),
            }
        };
        // An output wins over a parameter of the same name.
        let pairs = "Stacks[0].[Parameters[].[ParameterKey, ParameterValue], Outputs[].[OutputKey, OutputValue]][]";
        let pair = |row: Vec<String>| Some((row.first()?.clone(), row.get(1)?.clone()));
        let values = rows("describe-stacks", pairs)?.into_iter().filter_map(pair).collect();
        let triple = |row: Vec<String>| Some((row.first()?.clone(), (row.get(1)?.clone(), row.get(2)?.clone())));
        let resources = "StackResourceSummaries[].[LogicalResourceId, ResourceType, PhysicalResourceId]";
        Ok(Deployment {
            values,
            resources: rows("list-stack-resources", resources)?.into_iter().filter_map(triple).collect(),
        })
    }

    fn value(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// The id of a resource; empty where the stack lacks it.
    fn id(&self, name: &str) -> &str {
        self.resources.get(name).map_or("", |(_, id)| id)
    }
}

/// Whether a page answers this machine, asked by `curl`, which knows its certificates and proxies.
fn reached(url: &str) -> Result<String, Found> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "10", "--output", "/dev/null", "--write-out", "%{http_code}"]);
    let Ok(output) = curl.arg(url).stdin(Stdio::null()).output() else {
        return Err(Found::Unknown("the command curl is missing: install it".to_owned()));
    };
    match String::from_utf8_lossy(&output.stdout).trim() {
        "200" => Ok(format!("{url} answers this machine")),
        status => Err(Found::Wrong(format!(
            "{url} answers {status} {}. Does its name lead where the output ApiOrigin says, or the provider's status page tell of trouble?",
            String::from_utf8_lossy(&output.stderr).trim()
        ))),
    }
}
