//! Listings of folders, read a piece at a time as the guest takes what came before: one that a guest holds
//! has a descriptor and one piece in memory, however large its folder is, and no thread. wasmtime-wasi's
//! hold the whole folder for guests of WASI 0.2, and a thread that waits for those of 0.3.

use std::fs::File;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::fs::{AtFlags, Dir, DirEntry, FileType, statat};
use rustix::io::Errno;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use wasmtime::StoreContextMut;
use wasmtime::component::{
    Destination, FutureReader, LinkerInstance, Resource, ResourceType, StreamProducer,
    StreamReader, StreamResult, VecBuffer,
};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::bindings::filesystem::types as files2;
use wasmtime_wasi::p3::bindings::filesystem::types as files3;

use super::bounded_files::may_open_file;
use super::open::Opening;
use crate::HostState;

/// How many entries are read at once.
const PIECE: usize = 128;

type Store<'a> = StoreContextMut<'a, HostState>;
type Listed3 = (StreamReader<files3::DirectoryEntry>, FutureReader<Result<(), files3::ErrorCode>>);

/// A folder that a guest lists; its resource `directory-entry-stream` in WASI 0.2.
pub(super) struct Listing {
    /// What is not read yet, while nothing is being read.
    rest: Option<Reading>,
    reading: Option<JoinHandle<(Piece, Option<Reading>)>>,
    /// What is read of a piece that a guest takes one by one.
    piece: std::vec::IntoIter<io::Result<Entry>>,
}

/// Entries in the system's order. The last piece may be empty; nothing comes after it.
type Piece = Vec<io::Result<Entry>>;

struct Entry {
    name: String,
    kind: FileType,
}

/// A folder that is read.
struct Reading {
    folder: Arc<File>,
    open: Option<Dir>,
    /// Its place and descriptor among the files that the instance holds open.
    _opening: Opening,
}

impl Reading {
    /// Reads the next piece; and itself, if there may be more. It blocks.
    fn next(mut self) -> (Piece, Option<Self>) {
        let open = match self.open.take() {
            Some(open) => Ok(open),
            None => Dir::read_from(&self.folder),
        };
        let mut folder = match open {
            Ok(folder) => folder,
            Err(error) => return (vec![Err(error.into())], None),
        };
        let piece: Piece = std::iter::from_fn(|| entry(&mut folder)).take(PIECE).collect();
        self.open = Some(folder);
        let is_last = piece.len() < PIECE;
        (piece, if is_last { None } else { Some(self) })
    }
}

/// The next entry that is not the folder itself or the one above it.
fn entry(folder: &mut Dir) -> Option<io::Result<Entry>> {
    loop {
        match folder.read()? {
            Ok(entry) if matches!(entry.file_name().to_bytes(), b"." | b"..") => {}
            Ok(entry) => return Some(named(folder, &entry)),
            Err(error) => return Some(Err(error.into())),
        }
    }
}

fn named(folder: &Dir, entry: &DirEntry) -> io::Result<Entry> {
    let name = entry.file_name();
    let kind = match entry.file_type() {
        // Not every file system keeps it with the name.
        FileType::Unknown => {
            let found = statat(folder.fd()?, name, AtFlags::SYMLINK_NOFOLLOW);
            // It may be gone by now.
            found.map_or(FileType::Unknown, |found| FileType::from_raw_mode(found.st_mode))
        }
        kind => kind,
    };
    let name = name.to_str().map_err(|_| Errno::ILSEQ)?.to_owned();
    Ok(Entry { name, kind })
}

impl Listing {
    fn new(folder: Arc<File>, opening: Opening) -> Self {
        let rest = Some(Reading { folder, open: None, _opening: opening });
        Self { rest, reading: None, piece: Vec::new().into_iter() }
    }

    /// The next piece, which is empty at the end.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Piece> {
        if let Some(rest) = self.rest.take() {
            self.reading = Some(tokio::task::spawn_blocking(|| rest.next()));
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(Vec::new()) };
        let read = ready!(Pin::new(reading).poll(context));
        let (piece, rest) = read.unwrap_or_else(|error| (vec![Err(io::Error::other(error))], None));
        (self.reading, self.rest) = (None, rest);
        Poll::Ready(piece)
    }

    /// The next entry.
    async fn next(&mut self) -> Option<io::Result<Entry>> {
        if self.piece.len() == 0 {
            let piece = std::future::poll_fn(|context| self.poll_piece(context)).await;
            self.piece = piece.into_iter();
        }
        self.piece.next()
    }
}

/// Why a listing does not begin.
enum Refused {
    NoFolder,
    Quota,
}

/// Begins a listing of a folder, which counts among the files that the instance holds open until it has
/// come to its end.
fn begin(
    state: &mut HostState,
    folder: &Resource<Descriptor>,
) -> wasmtime::Result<Result<Listing, Refused>> {
    let folder = match state.table().get(folder)? {
        Descriptor::Dir(folder) => folder.dir.clone(),
        Descriptor::File(_) => return Ok(Err(Refused::NoFolder)),
    };
    let opening = may_open_file(state);
    Ok(opening.map(|opening| Listing::new(folder, opening)).ok_or(Refused::Quota))
}

/// Defines the listings of WASI 0.2.
pub(super) fn link(types: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    let stream = ResourceType::host::<Listing>();
    types.resource("directory-entry-stream", stream, |mut store, rep| {
        let state = store.data_mut();
        state.table().delete(Resource::<Listing>::new_own(rep))?;
        state.open_files().count();
        Ok(())
    })?;
    types.func_wrap(
        "[method]descriptor.read-directory",
        |mut store: Store<'_>, (folder,): (Resource<Descriptor>,)| {
            let state = store.data_mut();
            let listing = match begin(state, &folder)? {
                Ok(listing) => Ok(state.table().push(listing)?),
                Err(Refused::NoFolder) => Err(files2::ErrorCode::NotDirectory),
                Err(Refused::Quota) => Err(files2::ErrorCode::Quota),
            };
            Ok((listing,))
        },
    )?;
    types.func_wrap_async(
        "[method]directory-entry-stream.read-directory-entry",
        |mut store: Store<'_>, (listing,): (Resource<Listing>,)| {
            Box::new(async move {
                let state = store.data_mut();
                let next = state.table().get_mut(&listing)?.next().await.transpose();
                state.open_files().count();
                let next = next.map(|entry| entry.map(Entry::of_02));
                Ok((next.map_err(files2::ErrorCode::from),))
            })
        },
    )
}

/// Defines the listings of WASI 0.3.
pub(super) fn link_concurrent(types: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[method]descriptor.read-directory",
        |store: Store<'_>, (folder,): (Resource<Descriptor>,)| Ok((list(store, &folder)?,)),
    )
}

fn list(mut store: Store<'_>, folder: &Resource<Descriptor>) -> wasmtime::Result<Listed3> {
    let (tell, told) = oneshot::channel();
    let entries = match begin(store.data_mut(), folder)? {
        Ok(listing) => StreamReader::new(&mut store, Listed { listing, tell: Some(tell) })?,
        Err(refused) => {
            let error = match refused {
                Refused::NoFolder => files3::ErrorCode::NotDirectory,
                Refused::Quota => files3::ErrorCode::Quota,
            };
            let _ = tell.send(Err(error));
            StreamReader::new(&mut store, std::iter::empty())?
        }
    };
    Ok((entries, FutureReader::new(&mut store, told)?))
}

/// A listing as a stream of WASI 0.3, and whom to tell how it ended.
struct Listed {
    listing: Listing,
    tell: Option<oneshot::Sender<Result<(), files3::ErrorCode>>>,
}

impl Listed {
    fn end(&mut self, how: Result<(), files3::ErrorCode>) {
        if let Some(tell) = self.tell.take() {
            // A guest that does not care how it ended has dropped its end.
            let _ = tell.send(how);
        }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.end(Ok(()));
    }
}

impl StreamProducer<HostState> for Listed {
    type Item = files3::DirectoryEntry;
    type Buffer = VecBuffer<Self::Item>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut store: Store<'a>,
        mut destination: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        // Who reads nothing only asks whether there is something to wait for.
        if destination.remaining(&mut store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let piece = match self.listing.poll_piece(context) {
            Poll::Ready(piece) => piece,
            Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => return Poll::Pending,
        };
        let mut failed = None;
        let entries = piece.into_iter().map_while(|entry| entry.map_err(|e| failed = Some(e)).ok());
        let entries: Vec<_> = entries.map(Entry::of_03).collect();
        if failed.is_none() && !entries.is_empty() {
            destination.set_buffer(entries.into());
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        destination.set_buffer(entries.into());
        self.end(failed.map_or(Ok(()), |error| Err(error.into())));
        Poll::Ready(Ok(StreamResult::Dropped))
    }
}

impl Entry {
    fn of_02(self) -> files2::DirectoryEntry {
        use files2::DescriptorType as Type;
        let type_ = match self.kind {
            FileType::RegularFile => Type::RegularFile,
            FileType::Directory => Type::Directory,
            FileType::Symlink => Type::SymbolicLink,
            FileType::Fifo => Type::Fifo,
            FileType::Socket => Type::Socket,
            FileType::CharacterDevice => Type::CharacterDevice,
            FileType::BlockDevice => Type::BlockDevice,
            FileType::Unknown => Type::Unknown,
        };
        files2::DirectoryEntry { type_, name: self.name }
    }

    fn of_03(self) -> files3::DirectoryEntry {
        use files3::DescriptorType as Type;
        let type_ = match self.kind {
            FileType::RegularFile => Type::RegularFile,
            FileType::Directory => Type::Directory,
            FileType::Symlink => Type::SymbolicLink,
            FileType::Fifo => Type::Fifo,
            FileType::Socket => Type::Socket,
            FileType::CharacterDevice => Type::CharacterDevice,
            FileType::BlockDevice => Type::BlockDevice,
            FileType::Unknown => Type::Other(None),
        };
        files3::DirectoryEntry { type_, name: self.name }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use dayfly_engine::{Engine, EngineConfig, Flavour};
    use dayfly_model::{Limits, OutboundHosts};

    use super::*;
    use crate::Grants;
    use crate::supply::Supply;
    use crate::wasi::Folder;
    use crate::wasi::lines::{LogSink, OutputKind};
    use crate::wasi::open::Open;

    /// A folder's listing, and what is open for it.
    fn listing(folder: &std::path::Path) -> (Listing, Open) {
        let mut open = Open::default();
        let descriptor = Supply::new(4).share().take().unwrap();
        let opening = open.opening(1, descriptor).unwrap();
        (Listing::new(Arc::new(File::open(folder).unwrap()), opening), open)
    }

    #[tokio::test]
    async fn a_folder_is_read_by_pieces_and_is_open_until_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let names: BTreeSet<String> = (0..300).map(|n| format!("file-{n}")).collect();
        for name in &names {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        let (mut listing, mut open) = listing(folder.path());
        let mut found = BTreeSet::new();
        while let Some(entry) = listing.next().await {
            let entry = entry.unwrap();
            assert_eq!(entry.kind, FileType::RegularFile);
            assert!(found.insert(entry.name));
            assert!(listing.piece.len() < PIECE, "one piece");
            assert_eq!(open.count(), usize::from(found.len() <= 2 * PIECE), "{}", found.len());
        }
        assert_eq!(found, names);
        assert!(listing.next().await.is_none());
    }

    #[tokio::test]
    async fn one_that_nobody_reads_holds_no_thread() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("inner")).unwrap();
        let (mut listing, mut open) = listing(folder.path());
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        assert!(listing.reading.is_none());
        assert_eq!(listing.next().await.unwrap().unwrap().kind, FileType::Directory);
        assert!(listing.reading.is_none() && listing.rest.is_none());
        assert_eq!(open.count(), 0);
    }

    /// How many listings a guest of WASI 0.3 holds.
    const HELD: usize = 64;

    #[test]
    fn a_guest_that_takes_nothing_leaves_others_the_threads() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c", "d"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().max_blocking_threads(1).build().unwrap();
        let held = async { tokio::time::timeout(LONG, hold_listings(folder.path())).await };
        runtime.block_on(held).unwrap();
    }

    const LONG: std::time::Duration = std::time::Duration::from_secs(20);

    async fn hold_listings(folder: &std::path::Path) {
        use wasmtime::AsContextMut as _;
        use wasmtime_wasi::filesystem::WasiFilesystemView as _;
        use wasmtime_wasi::p2::bindings::filesystem::preopens::Host as _;

        let folder = Folder { host: folder.into(), guest: "/".to_owned(), writable: false };
        let limits = Limits { files: HELD as u32, ..Limits::default() };
        let (hosts, log) = (OutboundHosts::default(), Arc::new(Nowhere));
        let grants = Grants::for_command("test", limits, Vec::new(), &[folder], hosts, log);
        let state = HostState::new(Arc::new(grants.unwrap()));
        let engine = Engine::new(EngineConfig::default()).unwrap();
        let mut store = engine.store(Flavour::CONCURRENT, state).unwrap();
        let run = store.run_concurrent(async |accessor| {
            let held: Vec<_> = accessor.with(|mut access| {
                let mut folders = access.get().filesystem().get_directories().unwrap();
                let folder = folders.remove(0).0;
                (0..HELD).map(|_| list(access.as_context_mut(), &folder).unwrap()).collect()
            });
            let open = || accessor.with(|mut access| access.get().open_files().count());
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            assert_eq!(open(), HELD);
            assert!(accessor.with(|mut access| may_open_file(access.get()).is_none()));
            tokio::task::spawn_blocking(|| ()).await.unwrap();
            accessor.with(|mut access| {
                for (mut entries, mut ended) in held {
                    entries.close(&mut access).unwrap();
                    ended.close(&mut access).unwrap();
                }
            });
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            assert_eq!(open(), 0);
        });
        run.await.unwrap();
    }

    struct Nowhere;

    impl LogSink for Nowhere {
        fn line(&self, _: OutputKind, _: &str) {}
    }

    #[tokio::test]
    async fn a_name_that_is_no_text_is_an_error_and_an_empty_folder_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let (mut empty, _open) = listing(folder.path());
        assert!(empty.next().await.is_none());
        std::fs::write(folder.path().join(OsStr::from_bytes(b"\xff")), "").unwrap();
        let (mut odd, _open) = listing(folder.path());
        let error = odd.next().await.unwrap().map(|entry| entry.name).unwrap_err();
        assert_eq!(files2::ErrorCode::from(&error), files2::ErrorCode::IllegalByteSequence);
        assert!(odd.next().await.is_none());
    }
}
