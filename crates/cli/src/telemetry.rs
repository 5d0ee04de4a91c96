//! What the standard variables of OpenTelemetry say is to be exported.

use std::sync::Arc;

use anyhow::Result;
use dayfly_model::App;
use dayfly_telemetry::Telemetry;
use dayfly_telemetry::export::{Reading, Service, Settings};

use crate::harden::Needs;

/// The port by which names are looked up, where an answer is too long for a datagram.
const DNS: u16 = 53;

/// Makes ready to export as the environment says; `None` if nothing is to be.
///
/// # Errors
/// If an endpoint or a certificate cannot be used.
pub(crate) fn build(app: &App, needs: &mut Needs) -> Result<Option<Arc<Telemetry>>> {
    build_for(Service { name: app.name.clone(), version: app.version.clone() }, needs)
}

/// As [`build`], for a node that is no app's own.
///
/// # Errors
/// As [`build`].
pub(crate) fn build_for(service: Service, needs: &mut Needs) -> Result<Option<Arc<Telemetry>>> {
    let Reading { settings, warnings } = Settings::from_process()?;
    for warning in &warnings {
        tracing::warn!(target: "dayfly::telemetry", "{warning}");
    }
    let Some(settings) = settings else { return Ok(None) };
    needs.connect.extend(settings.ports());
    needs.connect.push(DNS);
    Ok(Some(Telemetry::new(settings, &service)))
}
