//! What a tenant's account says to a request, where there are tenants.

use std::sync::Arc;
use std::time::SystemTime;

use dayfly_capabilities::{Account, Over};

/// Takes a request or an event in.
///
/// # Errors
/// If the tenant may have none now.
pub(crate) fn admit(account: Option<&Arc<Account>>) -> Result<(), Over> {
    account.map_or(Ok(()), |account| account.admit(SystemTime::now()))
}
