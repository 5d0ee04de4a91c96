//! What a platform keeps of the apps that it serves: names, releases, activations, quotas, grants as
//! they are compared, and the ports by which the node reads them. Pure data, whatever it is kept in.

mod grants;
mod names;
mod ports;
mod quotas;
mod release;

pub use grants::{Ask, ComponentGrants, Grants};
pub use names::{
    AppId, AppName, BlobDigest, DomainName, NameError, PreviewName, ReleaseId, SettingName,
    TenantId,
};
pub use ports::{ArtifactStore, ReleaseStore, StoreFailure};
pub use quotas::Quotas;
pub use release::{
    Activation, Blob, Generation, ReleaseManifest, ReleaseManifestError, Setting, Share,
};
