//! What `doctor` asks of those who say who somebody is: the sign-on provider, and a front that
//! vouches.

use std::process::{Command, Stdio};

use crate::aws::{Found, MEND, NOT_CHECKED, OK};
use crate::doctor::reached;

/// Whether the metadata of a sign-on provider can be read, and are one tenant's.
pub(crate) fn provider(issuer: &str) -> Found {
    const MANY_TENANTS: [&str; 3] = ["common", "organizations", "consumers"];
    if issuer
        .split('/')
        .any(|part| MANY_TENANTS.contains(&part.to_lowercase().as_str()))
    {
        return (
            MEND,
            format!("{issuer} vouches for everybody of any tenant: name yours in SignOnIssuer."),
        );
    }
    reached(
        &format!(
            "{}/.well-known/openid-configuration",
            issuer.trim_end_matches('/')
        ),
        200,
    )
}

/// Whether what stands in front keeps the header of who signed on from anybody else: it is sent
/// from here, and must sign in nobody.
pub(crate) fn keeps_out(origin: &str, admin: &str) -> Found {
    let origin = origin.trim_end_matches('/');
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--show-error",
        "--max-time",
        "10",
        "--output",
        "/dev/null",
        "--dump-header",
        "-",
    ]);
    curl.args([
        "--data",
        "",
        "--header",
        &format!("X-Bursar-User: {admin}"),
        "--header",
        &format!("Origin: {origin}"),
    ]);
    let Ok(output) = curl
        .arg(format!("{origin}/sign-on"))
        .stdin(Stdio::null())
        .output()
    else {
        return (
            NOT_CHECKED,
            "the command curl is missing: install the package curl".to_owned(),
        );
    };
    let headers = String::from_utf8_lossy(&output.stdout).to_lowercase();
    let has_session = |line: &str| {
        line.strip_prefix("set-cookie: ").is_some_and(|cookie| {
            cookie
                .trim_start_matches("__host-")
                .strip_prefix("bursar=")
                .is_some_and(|token| !token.starts_with(';'))
        })
    };
    if headers.lines().any(has_session) {
        let why = "whoever sends X-Bursar-User from outside is signed in as anybody. Let the front set the header in each request, in \
                   the place of what a browser sends, and until then switch FrontUser off.";
        return (MEND, format!("As {admin} one gets in at {origin}: {why}"));
    }
    if headers.is_empty() {
        return (
            NOT_CHECKED,
            format!(
                "{origin} does not answer: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            ),
        );
    }
    // A front that asks who it is leads elsewhere.
    let status = headers.split_whitespace().nth(1).unwrap_or_default();
    if !["302", "303", "401", "403"].contains(&status) {
        return (
            NOT_CHECKED,
            format!("{origin}/sign-on answers {status}: it says nothing about X-Bursar-User"),
        );
    }
    (
        OK,
        format!("{origin} lets nobody in who says from outside to be {admin}"),
    )
}
