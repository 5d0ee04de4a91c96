//! Puts a file into a bucket, a part at a time, so that little of it is in memory. An upload that
//! is given up is called off.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::time::Duration;

use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt as _, UploadPart};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::super::Error;
use super::super::folder::blocking;

/// A part, in bytes: the smallest that servers take.
const PART: u64 = 5 << 20;

/// How many uploads go on at once, of all guests: each has a part in memory.
static TURNS: Semaphore = Semaphore::const_new(8);

/// How long a server may take to put the parts of one together.
const COMPLETE: Duration = Duration::from_secs(600);

/// How long it may take to call one off.
const CALL_OFF: Duration = Duration::from_secs(30);

/// Puts all of a file in an object's place, at once.
pub(super) async fn upload(store: &AmazonS3, key: &Path, file: File) -> Result<(), Error> {
    // The semaphore is never closed.
    let _turn = TURNS.acquire().await;
    let (file, bytes) = blocking(move || {
        let mut file = file;
        let bytes = file.metadata()?.len();
        file.seek(SeekFrom::Start(0))?;
        Ok((file, bytes))
    })
    .await?;
    let (mut file, mut part) = next(file).await?;
    if bytes <= PART {
        store.put(key, part.into()).await?;
        return Ok(());
    }
    let mut upload = Upload { begun: Some(store.put_multipart(key).await?), part: None };
    while !part.is_empty() {
        upload.put(part).await?;
        (file, part) = next(file).await?;
    }
    upload.complete().await
}

/// What comes next in a file.
async fn next(file: File) -> Result<(File, Vec<u8>), Error> {
    blocking(move || {
        let mut part = Vec::new();
        let mut some = file.take(PART);
        some.read_to_end(&mut part)?;
        Ok((some.into_inner(), part))
    })
    .await
}

/// An upload.
struct Upload {
    /// Nothing once it is complete.
    begun: Option<Box<dyn MultipartUpload>>,
    /// What is on its way.
    part: Option<UploadPart>,
}

impl Upload {
    async fn put(&mut self, part: Vec<u8>) -> Result<(), Error> {
        if let Some(upload) = &mut self.begun {
            let put = self.part.insert(upload.put_part(part.into())).await;
            self.part = None;
            put?;
        }
        Ok(())
    }

    /// Whoever gives up waiting for it leaves it to its end: of one that is broken off, a server may keep parts.
    async fn complete(mut self) -> Result<(), Error> {
        let Some(mut upload) = self.begun.take() else { return Ok(()) };
        let completed = tokio::spawn(async move {
            let completed = timeout(COMPLETE, upload.complete()).await;
            if !matches!(completed, Ok(Ok(_))) {
                call_off(upload, None).await;
            }
            completed
        });
        let completed = completed.await.map_err(|_| io::Error::from(ErrorKind::Interrupted))?;
        completed.map_err(|_| io::Error::from(ErrorKind::TimedOut))??;
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(upload) = self.begun.take() else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(call_off(upload, self.part.take()));
        }
    }
}

/// Calls an upload off behind the part that is on its way: a server may keep one that comes later.
async fn call_off(mut upload: Box<dyn MultipartUpload>, part: Option<UploadPart>) {
    let called_off = async {
        if let Some(part) = part {
            // Whether it came makes no difference.
            let _ = part.await;
        }
        upload.abort().await
    };
    if !matches!(timeout(CALL_OFF, called_off).await, Ok(Ok(()))) {
        tracing::warn!("an upload was not called off: its parts are still in the bucket");
    }
}
