//! A disk whose power can fail: a SQLite VFS that keeps a history of every write, and rebuilds from it what could be on
//! the disk if the power had failed at any moment of it.
//!
//! Invariant: what was synced is there whole; of what was written since, each sector of 512 bytes may be there or not,
//! each change of length may have happened or not, in any combination – that is all a disk promises.

#![expect(unsafe_code, reason = "SQLite's VFS is a table of C functions")]

use crate::fuzz::Dice;
use rusqlite::ffi;
use std::collections::{BTreeMap, HashMap};
use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// A disk, known to SQLite by its name as long as the process lives.
#[derive(Clone, Copy)]
pub struct Disk {
    name: &'static str,
    history: &'static Mutex<Vec<Event>>,
}

/// Something that happened to a file.
struct Event {
    file: PathBuf,
    what: What,
}

enum What {
    Created,
    Written { at: usize, bytes: Vec<u8> },
    Resized { length: usize },
    Synced,
    Deleted,
}

/// The VFS as SQLite sees it, and behind it what only we see. It begins with SQLite's own struct, so that a pointer to
/// the one is a pointer to the other.
#[repr(C)]
struct Recorder {
    vfs: ffi::sqlite3_vfs,
    real: *mut ffi::sqlite3_vfs,
    history: &'static Mutex<Vec<Event>>,
}

/// An open file of ours: the functions that really do it, and where its history is kept.
#[derive(Clone)]
struct OpenFile {
    real: &'static ffi::sqlite3_io_methods,
    path: PathBuf,
    history: &'static Mutex<Vec<Event>>,
}

/// By the address of SQLite's file struct.
static OPEN: LazyLock<Mutex<HashMap<usize, OpenFile>>> = LazyLock::new(Mutex::default);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    /// A new disk over SQLite's usual VFS; the name is for `Connection::open_with_flags_and_vfs`.
    ///
    /// # Panics
    /// When SQLite does not take it, or the name holds a zero byte.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        let history: &'static Mutex<Vec<Event>> = Box::leak(Box::default());
        let c_name = CString::new(name).expect("a name without zero bytes").into_raw();
        // SAFETY: SQLite's default VFS lives as long as the process, and so does the leaked copy that is registered.
        // The copy keeps the real one's `pAppData` and file size, so that the real `xOpen` finds what it expects.
        let code = unsafe {
            let real = ffi::sqlite3_vfs_find(std::ptr::null());
            let mut vfs = *real;
            vfs.pNext = std::ptr::null_mut();
            vfs.zName = c_name;
            vfs.xOpen = Some(open);
            vfs.xDelete = Some(delete);
            let recorder = Box::leak(Box::new(Recorder { vfs, real, history }));
            ffi::sqlite3_vfs_register((&raw mut *recorder).cast(), 0)
        };
        assert_eq!(code, ffi::SQLITE_OK, "SQLite takes a VFS");
        Disk { name, history }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How much has happened so far: a moment of the history.
    #[must_use]
    pub fn now(&self) -> usize {
        locked(self.history).len()
    }

    /// Writes into a folder the files as they could be found after the power failed at a moment; the dice decide what of
    /// the unsynced is there.
    ///
    /// # Panics
    /// When the folder cannot be written.
    pub fn after_power_failed(&self, moment: usize, dice: &mut Dice, folder: &Path) {
        let history = locked(self.history);
        let mut of_file: BTreeMap<&Path, Vec<&What>> = BTreeMap::new();
        for event in &history[..moment] {
            of_file.entry(&event.file).or_default().push(&event.what);
        }
        for (path, events) in of_file {
            if let Some(content) = survived(&events, dice) {
                let name = path.file_name().expect("SQLite's files have names");
                std::fs::write(folder.join(name), content).expect("the folder can be written");
            }
        }
    }
}

/// What is left of a file; `None` when it is not there.
fn survived(events: &[&What], dice: &mut Dice) -> Option<Vec<u8>> {
    let synced = events.iter().rposition(|event| matches!(event, What::Synced)).unwrap_or(0);
    let mut file: Option<Vec<u8>> = None;
    for (at, event) in events.iter().enumerate() {
        let mut kept = || at < synced || dice.below(2) == 0;
        match event {
            What::Created if kept() => {
                file.get_or_insert_default();
            }
            What::Resized { length } if kept() => {
                file.get_or_insert_default().resize(*length, 0);
            }
            What::Written { at: offset, bytes } => {
                let mut offset = *offset;
                let mut rest = bytes.as_slice();
                while !rest.is_empty() {
                    let (sector, after) = rest.split_at(rest.len().min(SECTOR - offset % SECTOR));
                    if kept() {
                        write(file.get_or_insert_default(), offset, sector);
                    }
                    offset += sector.len();
                    rest = after;
                }
            }
            // A deletion is durable at once: SQLite asks for that wherever it matters to it.
            What::Deleted => file = None,
            What::Created | What::Resized { .. } | What::Synced => {}
        }
    }
    file
}

fn write(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[at..end].copy_from_slice(bytes);
}

/// Our table of functions for files whose real table is the given one: the same, but for those that change the disk.
fn recording(real: &'static ffi::sqlite3_io_methods) -> &'static ffi::sqlite3_io_methods {
    static TABLES: LazyLock<Mutex<HashMap<usize, &'static ffi::sqlite3_io_methods>>> =
        LazyLock::new(Mutex::default);
    locked(&TABLES).entry(std::ptr::from_ref(real) as usize).or_insert_with(|| {
        let mut table = *real;
        // Without the functions of version 3, SQLite writes nothing through a memory map.
        table.iVersion = table.iVersion.min(2);
        table.xClose = Some(close);
        table.xWrite = Some(write_file);
        table.xTruncate = Some(truncate);
        table.xSync = Some(sync);
        Box::leak(Box::new(table))
    })
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite calls with the struct that was registered, which is the beginning of a `Recorder`; the other
    // arguments go on as they came. After `SQLITE_OK` the file has a table of functions that lives for ever.
    unsafe {
        let recorder = &*vfs.cast::<Recorder>();
        let real_open = (*recorder.real).xOpen.expect("every VFS opens");
        let code = real_open(recorder.real, name, file, flags, out_flags);
        if code == ffi::SQLITE_OK && !name.is_null() {
            let path = path_of(name);
            let real: &'static ffi::sqlite3_io_methods = &*(*file).pMethods;
            (*file).pMethods = recording(real);
            let history = recorder.history;
            locked(history).push(Event { file: path.clone(), what: What::Created });
            locked(&OPEN).insert(file as usize, OpenFile { real, path, history });
        }
        code
    }
}

unsafe extern "C" fn delete(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    sync_folder: c_int,
) -> c_int {
    // SAFETY: as in `open`.
    unsafe {
        let recorder = &*vfs.cast::<Recorder>();
        let mut history = locked(recorder.history);
        let real_delete = (*recorder.real).xDelete.expect("every VFS deletes");
        let code = real_delete(recorder.real, name, sync_folder);
        if code == ffi::SQLITE_OK {
            history.push(Event { file: path_of(name), what: What::Deleted });
        }
        code
    }
}

/// # Safety
/// The name is a C string.
unsafe fn path_of(name: *const c_char) -> PathBuf {
    // SAFETY: by this function's own condition.
    PathBuf::from(OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes()))
}

/// Does something to a file with the real functions and notes it; nothing else happens on that disk meanwhile, so that
/// the history is in the order of what happened.
fn doing(
    file: *mut ffi::sqlite3_file,
    what: impl FnOnce() -> What,
    act: impl FnOnce(&ffi::sqlite3_io_methods) -> c_int,
) -> c_int {
    let Some(known) = locked(&OPEN).get(&(file as usize)).cloned() else {
        return ffi::SQLITE_IOERR;
    };
    let mut history = locked(known.history);
    let code = act(known.real);
    if code == ffi::SQLITE_OK {
        history.push(Event { file: known.path, what: what() });
    }
    code
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let Some(known) = locked(&OPEN).remove(&(file as usize)) else {
        return ffi::SQLITE_IOERR;
    };
    // SAFETY: it is the file these functions opened.
    unsafe { (known.real.xClose.expect("every file closes"))(file) }
}

unsafe extern "C" fn write_file(
    file: *mut ffi::sqlite3_file,
    data: *const c_void,
    length: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    let size = usize::try_from(length).expect("a length");
    // SAFETY: SQLite gives as many bytes as it says.
    let bytes = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), size) };
    let offset = usize::try_from(at).expect("an offset");
    let what = || What::Written { at: offset, bytes: bytes.to_vec() };
    // SAFETY: the arguments go on as they came, to the functions that opened the file.
    doing(file, what, |real| unsafe {
        (real.xWrite.expect("every file is written"))(file, data, length, at)
    })
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: ffi::sqlite3_int64) -> c_int {
    let length = usize::try_from(size).expect("a size");
    // SAFETY: as in `write_file`.
    doing(
        file,
        || What::Resized { length },
        |real| unsafe { (real.xTruncate.expect("every file is cut"))(file, size) },
    )
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: as in `write_file`.
    doing(
        file,
        || What::Synced,
        |real| unsafe { (real.xSync.expect("every file syncs"))(file, flags) },
    )
}
