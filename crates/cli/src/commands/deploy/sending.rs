//! A package to a platform: what it has not is sent, and a release is made of it.

use std::collections::HashSet;
use std::io::{IsTerminal as _, stderr};
use std::time::{Duration, Instant};

use anyhow::Result;
use dayfly_api::{AppId, BlobDigest, Code, Release, Upload};
use dayfly_forge::fetch::Fetching;
use dayfly_forge::package::{Package, PackageBlob};
use indicatif::ProgressBar;

use crate::fetching::Teller;
use crate::output::Size;
use crate::platform::{Session, failed, short};
use crate::{packing, report};

const SENDING: [&str; 2] = ["Sending", "Sent"];

/// How often is asked what is missing: what nothing names may be removed meanwhile.
const ROUNDS: usize = 3;

/// What was sent.
#[derive(Default)]
pub(super) struct Sent {
    /// How many blobs the package has, how many of them were sent, and their bytes.
    pub(super) blobs: usize,
    pub(super) sent: usize,
    pub(super) bytes: u64,
}

/// Sends what is missing, and has a release made.
///
/// # Errors
/// If the platform takes it not, or cannot serve it.
pub(super) fn send(
    session: &Session,
    app: &AppId,
    package: &Package,
    quiet: bool,
) -> Result<(Sent, Release)> {
    let blobs: Vec<(BlobDigest, PackageBlob<'_>)> =
        package.blobs().map(|blob| Ok((blob.digest().parse()?, blob))).collect::<Result<_>>()?;
    let mut sent = Sent { blobs: blobs.len(), ..Sent::default() };
    let mut round = 1;
    loop {
        let before = sent.sent;
        send_missing(session, &blobs, &mut sent, quiet)?;
        let spinner = waiting(quiet, sent.sent > before);
        let made = session.client.make_release(app, package.manifest().clone());
        if let Some(spinner) = spinner {
            spinner.finish_and_clear();
        }
        match made {
            Err(error) if error.code() == Some(Code::MissingBlobs) && round < ROUNDS => round += 1,
            Err(error) => return Err(failed(error, format!("make a release of `{}`", app.app))),
            Ok(release) => {
                if !quiet {
                    note(&release);
                }
                return Ok((sent, release));
            }
        }
    }
}

fn send_missing(
    session: &Session,
    blobs: &[(BlobDigest, PackageBlob<'_>)],
    sent: &mut Sent,
    quiet: bool,
) -> Result<()> {
    let Session { client, tenant } = session;
    let digests: Vec<_> = blobs.iter().map(|(digest, _)| digest.clone()).collect();
    let missing = client.missing(tenant, &digests);
    let missing = missing.map_err(|error| failed(error, "ask which blobs are there"))?;
    let missing: HashSet<_> = missing.into_iter().collect();
    let mut teller = Teller::new(SENDING, quiet);
    for (digest, blob) in blobs.iter().filter(|(digest, _)| missing.contains(digest)) {
        let content = blob.read().map_err(packing::hinted)?;
        let (what, began, bytes) = (blob.described(), Instant::now(), content.len() as u64);
        teller.tell(Fetching::Starts(&what));
        let progress = |now| teller.tell(Fetching::Comes(now, Some(bytes)));
        let done = client.send_blob(tenant, digest, Upload::Bytes(content), progress);
        done.map_err(|error| failed(error, format!("send {what}")))?;
        teller.tell(Fetching::Done { source: &what, bytes, took: began.elapsed() });
        sent.sent += 1;
        sent.bytes += bytes;
    }
    Ok(())
}

/// Says that the platform compiles; on a terminal, for how long it does.
fn waiting(quiet: bool, is_new: bool) -> Option<ProgressBar> {
    if quiet {
        return None;
    }
    if is_new {
        report::note("Compiling", "on the platform");
    }
    if !stderr().is_terminal() {
        return None;
    }
    let spinner = ProgressBar::new_spinner();
    spinner.enable_steady_tick(Duration::from_millis(100));
    Some(spinner)
}

fn note(release: &Release) {
    let prepared = &release.prepared;
    let took = Duration::from_millis(prepared.took_ms);
    let size = Size(prepared.component_bytes);
    let components = match prepared.components {
        1 => "1 component".to_owned(),
        count => format!("{count} components"),
    };
    let behind = match prepared.baseline && prepared.optimised_ms.is_none() {
        true => ", and optimised while it is served",
        false => "",
    };
    let id = short(&release.id);
    report::note(
        "Ready",
        format_args!("release {id}: {components}, {size}, compiled in {took:.1?}{behind}"),
    );
}
