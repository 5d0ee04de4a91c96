//! What a platform keeps of the apps that it serves: names, releases, activations, quotas, grants as
//! they are compared, and the ports by which the node reads them. Pure data, whatever it is kept in.

mod grants;
mod isolation;
mod log_line;
mod names;
mod ports;
mod quotas;
mod release;
mod usage;

pub use grants::{Ask, ComponentGrants, Grants};
pub use isolation::{Isolation, IsolationError};
pub use log_line::{LogLevel, LogLine, LogStream};
pub use names::{
    AppId, AppName, BlobDigest, DomainName, DomainPattern, NameError, PreviewName, ReleaseId,
    SettingName, TenantId,
};
pub use ports::{ArtifactStore, ReleaseStore, StoreFailure, UsedStore};
pub use quotas::{Quota, Quotas, Used};
pub use release::{
    Activation, Blob, Generation, ReleaseManifest, ReleaseManifestError, Setting, Share,
    is_health_path,
};
pub use usage::{Durations, Usage};
