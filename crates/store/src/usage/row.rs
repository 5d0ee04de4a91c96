//! One bucket of one series, as a row.

use dayfly_model::platform::{Durations, Usage};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::{Result, StoreError};

/// A row's key: the tenant, the step in seconds, when the bucket begins, and the series.
pub(super) type Place = (i64, i64, i64, i64);

/// What a row has of usage, in the order in which [`of`] reads it.
pub(super) const COLUMNS: &str = "unanswered, status_2xx, status_3xx, status_4xx, status_5xx,
    errors, events, events_failed, cold_starts, cpu_ns, memory_peak_bytes, bytes_in, bytes_out,
    longest_us, durations";

/// The usage of a row, whose columns begin at `first`.
pub(super) fn of(row: &Row<'_>, first: usize) -> Result<Usage> {
    let number = |index: usize| row.get::<_, u64>(first + index);
    let mut requests = [0; 5];
    for (index, class) in requests.iter_mut().enumerate() {
        *class = number(index)?;
    }
    let durations = row.get_ref(first + 14)?.as_blob().map_err(StoreError::record)?;
    let durations = Durations::from_bytes(durations, number(13)?);
    Ok(Usage {
        requests,
        errors: number(5)?,
        events: number(6)?,
        events_failed: number(7)?,
        cold_starts: number(8)?,
        cpu_ns: number(9)?,
        memory_peak_bytes: number(10)?,
        bytes_in: number(11)?,
        bytes_out: number(12)?,
        durations: durations.ok_or_else(|| StoreError::record("durations"))?,
    })
}

/// What is there, if something is.
pub(super) fn get(db: &Connection, (tenant, step, at, series): Place) -> Result<Option<Usage>> {
    let mut find = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM usage WHERE tenant = ?1 AND step = ?2 AND at = ?3 AND series = ?4"
    ))?;
    let found = find.query_row(params![tenant, step, at, series], |row| Ok(of(row, 0)));
    found.optional()?.transpose()
}

/// Puts it there, instead of what was.
pub(super) fn put(db: &Connection, (tenant, step, at, series): Place, usage: &Usage) -> Result<()> {
    let mut put = db.prepare_cached(&format!(
        "INSERT OR REPLACE INTO usage (tenant, step, at, series, {COLUMNS}) VALUES
         (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)"
    ))?;
    // A sum that a record cannot hold is told as the largest that it can.
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let [unanswered, success, redirection, client, server] = usage.requests.map(number);
    put.execute(params![
        tenant,
        step,
        at,
        series,
        unanswered,
        success,
        redirection,
        client,
        server,
        number(usage.errors),
        number(usage.events),
        number(usage.events_failed),
        number(usage.cold_starts),
        number(usage.cpu_ns),
        number(usage.memory_peak_bytes),
        number(usage.bytes_in),
        number(usage.bytes_out),
        number(usage.durations.longest_us()),
        usage.durations.to_bytes(),
    ])?;
    Ok(())
}
