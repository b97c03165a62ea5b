//! The run directory: its states, what a fault at any file call leaves behind, damaged parts, and the merge order.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use gradsweep::store::{
    Begin, Disk, Extra, Headers, Identity, Manifest, NetworkRows, Opened, RunDirectory, State, Storage, StoreError,
    SweepIdentity, Tally,
};
use tempfile::TempDir;

const ENGINE: &str = "cpu f32 test";

fn identity(networks: u64) -> Identity {
    Identity {
        name: "test".into(),
        seed: 1,
        networks,
        sweeps: vec![SweepIdentity { name: "a".into(), networks }],
        plan: format!("plan of {networks}"),
        precision: "f32".into(),
        numerics: 1,
        ..Identity::default()
    }
}

/// Chunk `c` of `chunks` holds networks c, c + chunks, ... in reverse: the merge has to put everything in order.
fn rows(chunk: u32, chunks: u32, networks: u64) -> Vec<NetworkRows> {
    (0..networks)
        .rev()
        .filter(|i| i % u64::from(chunks) == u64::from(chunk))
        .map(|index| NetworkRows {
            index,
            // Ragged, as networks of different depth are.
            layers: (0..index % 5 + 1).flat_map(|l| format!("{index},{l},x\n").into_bytes()).collect(),
            networks: format!("{index},ok\n").into_bytes(),
        })
        .collect()
}

fn expected_tables(networks: u64) -> (String, String) {
    let layers = (0..networks).flat_map(|i| (0..i % 5 + 1).map(move |l| format!("{i},{l},x\n"))).collect::<String>();
    let lines = (0..networks).map(|i| format!("{i},ok\n")).collect::<String>();
    (format!("network,layer,value\n{layers}"), format!("network,status\n{lines}"))
}

fn headers() -> Headers {
    Headers { layers: b"network,layer,value\n".to_vec(), networks: b"network,status\n".to_vec() }
}

fn tally(rows: &[NetworkRows]) -> Tally {
    Tally {
        networks: rows.len() as u64,
        rows: rows.iter().map(|r| r.layers.iter().filter(|&&b| b == b'\n').count() as u64).sum(),
        flops: 1.0,
        status: BTreeMap::from([("ok".to_string(), rows.len() as u64)]),
        verdict: BTreeMap::new(),
    }
}

fn ready(path: &Path, storage: Arc<dyn Storage>, identity: Identity) -> Result<Box<RunDirectory>, StoreError> {
    match RunDirectory::open(path, storage, identity)? {
        Opened::Ready(directory) => Ok(directory),
        Opened::Complete(_) => panic!("{} is complete already", path.display()),
    }
}

fn begin<'a>(engines: &'a [(String, String)], mixed: bool) -> Begin<'a> {
    static HEADERS: LazyLock<Headers> = LazyLock::new(headers);
    Begin { engines, mixed, sweep_file: b"name = 'test'\n", settings: &[], headers: &HEADERS }
}

fn engines(fingerprint: &str) -> Vec<(String, String)> {
    vec![(format!("label of {fingerprint}"), fingerprint.to_string())]
}

/// A whole run, as the loop does it. Returns the number of chunks that were still to do.
fn run(path: &Path, storage: Arc<dyn Storage>, chunks: u32, networks: u64) -> Result<usize, StoreError> {
    let mut directory = match RunDirectory::open(path, storage, identity(networks))? {
        Opened::Ready(directory) => directory,
        Opened::Complete(_) => return Ok(0),
    };
    let done = directory.begin(chunks as usize, begin(&engines(ENGINE), false))?;
    let missing: Vec<u32> = (0..chunks).filter(|&c| !done[c as usize]).collect();
    for &chunk in &missing {
        let rows = rows(chunk, chunks, networks);
        directory.commit(chunk, ENGINE, &rows, tally(&rows))?;
    }
    directory.finish(vec![Extra::bytes("extra.json", b"{}".to_vec())])?;
    Ok(missing.len())
}

fn tables(path: &Path) -> (String, String) {
    let read = |name: &str| fs::read_to_string(path.join(name)).expect("the table exists");
    (read("layers.csv"), read("networks.csv"))
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Fails at one call, and at every one after it: the disk is gone, or full, or the process dies there.
struct Faulty {
    calls: AtomicUsize,
    fails_at: usize,
    /// Half of the bytes of the failing write reach the disk.
    torn: bool,
}

impl Faulty {
    fn at(fails_at: usize, torn: bool) -> Arc<Faulty> {
        Arc::new(Faulty { calls: AtomicUsize::new(0), fails_at, torn })
    }
    fn call(&self) -> io::Result<()> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        if number < self.fails_at { Ok(()) } else { Err(io::Error::from(io::ErrorKind::StorageFull)) }
    }
}

impl Storage for Faulty {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.call().and_then(|()| Disk.create_dir(path))
    }
    fn create(&self, path: &Path) -> io::Result<File> {
        self.call().and_then(|()| Disk.create(path))
    }
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        self.call().or_else(|e| {
            if self.torn {
                Disk.write(file, &bytes[..bytes.len() / 2])?;
            }
            Err(e)
        })?;
        Disk.write(file, bytes)
    }
    fn sync(&self, file: &File) -> io::Result<()> {
        self.call().and_then(|()| Disk.sync(file))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call().and_then(|()| Disk.rename(from, to))
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.call().and_then(|()| Disk.sync_dir(path))
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call().and_then(|()| Disk.remove(path))
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.call().and_then(|()| Disk.remove_dir(path))
    }
}

#[test]
fn a_fault_at_any_file_call_loses_nothing_that_was_committed() {
    let (chunks, networks) = (3, 17);
    let mut faults = 0;
    for torn in [false, true] {
        for fails_at in 0.. {
            let home = TempDir::new().unwrap();
            let path = home.path().join("run");
            let faulty = Faulty::at(fails_at, torn);
            let outcome = run(&path, faulty.clone(), chunks, networks);
            if faulty.calls.load(Ordering::SeqCst) <= fails_at {
                assert_eq!(outcome.unwrap(), chunks as usize);
                break;
            }
            faults += 1;
            let committed = fs::read_dir(path.join("parts")).map_or(0, |dir| {
                dir.filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().ends_with(".part")).count()
            });
            let merged = path.join("layers.csv").exists();
            let redone =
                run(&path, Arc::new(Disk), chunks, networks).unwrap_or_else(|e| panic!("call {fails_at}: {e}"));
            assert!(merged || redone == chunks as usize - committed, "call {fails_at}: {redone} chunks run again");
            assert_eq!(tables(&path), expected_tables(networks), "call {fails_at}");
            let clean = ["extra.json", "layers.csv", "manifest.json", "networks.csv", "sweep.toml"];
            assert_eq!(names(&path), clean, "call {fails_at}");
        }
    }
    assert!(faults > 60, "{faults} calls were tried");
}

#[test]
fn strangers_among_the_parts_do_not_spoil_a_finished_run() {
    for stranger in [".DS_Store", ".nfs0001", "folder/"] {
        let home = TempDir::new().unwrap();
        let path = home.path().join("run");
        let mut directory = ready(&path, Arc::new(Disk), identity(9)).unwrap();
        directory.begin(1, begin(&engines(ENGINE), false)).unwrap();
        let place = path.join("parts").join(stranger);
        if stranger.ends_with('/') {
            fs::create_dir(&place).unwrap()
        } else {
            fs::write(&place, "mine").unwrap()
        }
        let rows = rows(0, 1, 9);
        directory.commit(0, ENGINE, &rows, tally(&rows)).unwrap();
        let (manifest, notes) = directory.finish(Vec::new()).unwrap_or_else(|e| panic!("{stranger}: {e}"));
        assert_eq!(manifest.state, State::Complete);
        assert!(notes.len() == 1 && notes[0].contains("parts stays: "), "{stranger}: {notes:?}");
        assert_eq!(tables(&path), expected_tables(9));
        assert!(place.exists() && names(&path.join("parts")).len() == 1, "{stranger}: parts go, and nothing else");
        assert_eq!(run(&path, Arc::new(Disk), 1, 9).unwrap(), 0, "{stranger}: complete already");
    }
}

#[test]
fn a_full_disk_is_told_with_the_way_out() {
    let home = TempDir::new().unwrap();
    let error = run(&home.path().join("run"), Faulty::at(12, true), 3, 17).unwrap_err().to_string();
    assert!(error.contains("parts") && error.contains("run the same command again"), "{error}");
}

#[test]
fn tables_are_in_plan_order_with_more_parts_than_open_files() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("run");
    run(&path, Arc::new(Disk), 150, 1000).unwrap();
    assert_eq!(tables(&path), expected_tables(1000));
    let manifest: Manifest = serde_json::from_slice(&fs::read(path.join("manifest.json")).unwrap()).unwrap();
    assert_eq!((manifest.counts.networks, manifest.counts.rows), (1000, 3000));
    for file in &manifest.files {
        let bytes = fs::read(path.join(&file.name)).unwrap();
        assert_eq!(file.bytes, bytes.len() as u64, "{}", file.name);
        assert_eq!(file.blake3, blake3::hash(&bytes).to_hex().as_str(), "{}", file.name);
    }
}

/// `networks` in four chunks of neighbours, in the order of the plan, each row of 50,000 bytes.
fn neighbours(chunk: u32, networks: u64) -> Vec<NetworkRows> {
    let of_chunk = networks / 4;
    let first = u64::from(chunk) * of_chunk;
    let row = |index: u64| NetworkRows {
        index,
        layers: format!("{index},{}\n", "x".repeat(50_000)).into_bytes(),
        networks: format!("{index},ok\n").into_bytes(),
    };
    (first..first + of_chunk).map(row).collect()
}

#[test]
fn tables_grow_as_far_as_all_earlier_rows_are_there() {
    let networks = 40;
    let all: Vec<u8> = (0..4).flat_map(|c| neighbours(c, networks)).flat_map(|r| r.layers).collect();
    for order in [[0, 1, 2, 3], [0, 2, 1, 3], [3, 2, 1, 0], [1, 0, 3, 2]] {
        let home = TempDir::new().unwrap();
        let path = home.path().join("run");
        let mut directory = ready(&path, Arc::new(Disk), identity(networks)).unwrap();
        directory.begin(4, begin(&engines(ENGINE), false)).unwrap();
        let mut there = Vec::new();
        for chunk in order {
            let rows = neighbours(chunk, networks);
            directory.commit(chunk, ENGINE, &rows, tally(&rows)).unwrap();
            there.push(chunk);
            // All but what waits for a block to be full.
            let prefix = (0..4).take_while(|c| there.contains(c)).count();
            let size = fs::metadata(path.join("layers.csv.tmp")).unwrap().len();
            let whole = (prefix * all.len() / 4) as u64;
            assert!(size <= whole + 30 && size + (1 << 18) + 60_000 > whole, "{order:?}, {there:?}: {size} of {whole}");
        }
        directory.finish(Vec::new()).unwrap();
        let table = fs::read(path.join("layers.csv")).unwrap();
        assert!(table == [&headers().layers[..], &all].concat(), "{order:?}");
        assert_eq!(names(&path), ["layers.csv", "manifest.json", "networks.csv", "sweep.toml"]);
    }
}

#[test]
fn a_stopped_run_leaves_no_half_tables_and_goes_on() {
    let (home, networks) = (TempDir::new().unwrap(), 40);
    let path = home.path().join("run");
    let mut directory = ready(&path, Arc::new(Disk), identity(networks)).unwrap();
    directory.begin(4, begin(&engines(ENGINE), false)).unwrap();
    for chunk in [0, 2] {
        let rows = neighbours(chunk, networks);
        directory.commit(chunk, ENGINE, &rows, tally(&rows)).unwrap();
    }
    directory.pause().unwrap();
    drop(directory);
    assert_eq!(names(&path), ["manifest.json", "parts", "sweep.toml"]);
    let mut directory = ready(&path, Arc::new(Disk), identity(networks)).unwrap();
    assert_eq!(directory.begin(4, begin(&engines(ENGINE), false)).unwrap(), [true, false, true, false]);
    for chunk in [3, 1] {
        let rows = neighbours(chunk, networks);
        directory.commit(chunk, ENGINE, &rows, tally(&rows)).unwrap();
    }
    directory.finish(Vec::new()).unwrap();
    let all: Vec<u8> = (0..4).flat_map(|c| neighbours(c, networks)).flat_map(|r| r.layers).collect();
    assert!(fs::read(path.join("layers.csv")).unwrap() == [&headers().layers[..], &all].concat());
}

/// Has room for parts and not for what is as long as the tables, until it is told otherwise.
struct Narrow {
    room: AtomicBool,
    refused: AtomicUsize,
}

impl Storage for Narrow {
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        let size = file.metadata()?.len();
        if !self.room.load(Ordering::SeqCst) && size + bytes.len() as u64 > 700_000 {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Disk.write(file, bytes)
    }
}

#[test]
fn tables_that_find_no_room_while_the_run_goes_on_are_written_at_its_end() {
    let networks = 40;
    let all: Vec<u8> = (0..4).flat_map(|c| neighbours(c, networks)).flat_map(|r| r.layers).collect();
    for enough_at_last in [true, false] {
        let home = TempDir::new().unwrap();
        let path = home.path().join("run");
        let narrow = Arc::new(Narrow { room: AtomicBool::new(false), refused: AtomicUsize::new(0) });
        let mut directory = ready(&path, narrow.clone(), identity(networks)).unwrap();
        directory.begin(4, begin(&engines(ENGINE), false)).unwrap();
        for chunk in [0, 2, 1, 3] {
            let rows = neighbours(chunk, networks);
            directory.commit(chunk, ENGINE, &rows, tally(&rows)).unwrap();
        }
        assert_eq!(narrow.refused.load(Ordering::SeqCst), 1, "after the first refusal the tables wait for the end");
        assert_eq!(names(&path), ["lock", "manifest.json", "parts", "sweep.toml"]);
        narrow.room.store(enough_at_last, Ordering::SeqCst);
        let finished = directory.finish(Vec::new());
        if !enough_at_last {
            let error = finished.unwrap_err().to_string();
            assert!(error.contains("layers.csv") && error.contains("run the same command again"), "{error}");
            assert_eq!(names(&path), ["manifest.json", "parts", "sweep.toml"]);
            let mut again = ready(&path, Arc::new(Disk), identity(networks)).unwrap();
            assert_eq!(again.begin(4, begin(&engines(ENGINE), false)).unwrap(), [true; 4]);
            again.finish(Vec::new()).unwrap();
        }
        assert!(fs::read(path.join("layers.csv")).unwrap() == [&headers().layers[..], &all].concat());
    }
}

#[test]
fn a_damaged_part_is_computed_again() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [Damage; 5] = [
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| bytes.clear(),
        |bytes| bytes[3] ^= 1,
        |bytes| {
            let end = bytes.len() - 9;
            bytes[end] = 0xff;
        },
        |bytes| bytes.extend(b"more"),
    ];
    for (number, damage) in damages.iter().enumerate() {
        let home = TempDir::new().unwrap();
        let path = home.path().join("run");
        let mut directory = ready(&path, Arc::new(Disk), identity(17)).unwrap();
        directory.begin(3, begin(&engines(ENGINE), false)).unwrap();
        for chunk in 0..2 {
            let rows = rows(chunk, 3, 17);
            directory.commit(chunk, ENGINE, &rows, tally(&rows)).unwrap();
        }
        drop(directory);
        let part = path.join("parts").join(&names(&path.join("parts"))[0]);
        let mut bytes = fs::read(&part).unwrap();
        damage(&mut bytes);
        fs::write(&part, bytes).unwrap();
        assert_eq!(run(&path, Arc::new(Disk), 3, 17).unwrap(), 2, "damage {number}: chunks 0 and 2 are run");
        assert_eq!(tables(&path), expected_tables(17), "damage {number}");
    }
}

#[test]
fn a_finished_directory_is_left_alone() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("run");
    run(&path, Arc::new(Disk), 2, 9).unwrap();
    let before = fs::metadata(path.join("layers.csv")).unwrap().modified().unwrap();
    assert!(matches!(RunDirectory::open(&path, Arc::new(Disk), identity(9)).unwrap(), Opened::Complete(_)));
    assert_eq!(fs::metadata(path.join("layers.csv")).unwrap().modified().unwrap(), before);
    assert_eq!(names(&path), ["extra.json", "layers.csv", "manifest.json", "networks.csv", "sweep.toml"]);
}

#[test]
fn a_finished_directory_that_lost_a_table_is_computed_again() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("run");
    run(&path, Arc::new(Disk), 2, 9).unwrap();
    fs::remove_file(path.join("networks.csv")).unwrap();
    let mut directory = ready(&path, Arc::new(Disk), identity(9)).unwrap();
    assert!(directory.take_notes()[0].contains("networks.csv is missing"));
    drop(directory);
    assert_eq!(run(&path, Arc::new(Disk), 2, 9).unwrap(), 2);
    assert_eq!(tables(&path), expected_tables(9));
}

#[test]
fn a_finished_directory_with_a_table_of_another_size_is_refused_until_that_is_removed() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("run");
    run(&path, Arc::new(Disk), 2, 9).unwrap();
    fs::write(path.join("sweep.toml"), "# a remark\nname = 'test'\n").unwrap();
    assert!(matches!(RunDirectory::open(&path, Arc::new(Disk), identity(9)).unwrap(), Opened::Complete(_)));
    fs::write(path.join("layers.csv"), "").unwrap();
    let error = RunDirectory::open(&path, Arc::new(Disk), identity(9)).unwrap_err();
    let size = expected_tables(9).0.len();
    assert!(
        matches!(&error, StoreError::Occupied(text) if text.contains(&format!("layers.csv: has 0 bytes, and the finished run wrote {size}"))),
        "{error}"
    );
    assert_eq!(fs::read(path.join("layers.csv")).unwrap(), b"");
    fs::remove_file(path.join("layers.csv")).unwrap();
    assert_eq!(run(&path, Arc::new(Disk), 2, 9).unwrap(), 2);
    assert_eq!(tables(&path), expected_tables(9));
}

#[test]
fn another_identity_is_refused_with_the_difference() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("run");
    run(&path, Arc::new(Disk), 2, 9).unwrap();
    let before = fs::read(path.join("manifest.json")).unwrap();
    let other = Identity { seed: 2, precision: "f64".into(), ..identity(9) };
    let error = RunDirectory::open(&path, Arc::new(Disk), other).unwrap_err();
    assert!(matches!(error, StoreError::OtherRun { .. }));
    let text = error.to_string();
    for part in ["seed: 1 there, 2 now", "precision: f32 there, f64 now", "-o"] {
        assert!(text.contains(part), "{text}");
    }
    let values = Identity { plan: "other".into(), ..identity(9) };
    assert!(RunDirectory::open(&path, Arc::new(Disk), values).unwrap_err().to_string().contains("configurations"));
    assert_eq!(fs::read(path.join("manifest.json")).unwrap(), before);
}

#[test]
fn foreign_directories_and_files_are_refused_and_left_untouched() {
    let home = TempDir::new().unwrap();
    fs::write(home.path().join("thesis.tex"), "years of work").unwrap();
    let error = RunDirectory::open(home.path(), Arc::new(Disk), identity(9)).unwrap_err();
    assert!(matches!(&error, StoreError::Occupied(text) if text.contains("thesis.tex")), "{error}");
    assert_eq!(names(home.path()), ["thesis.tex"]);
    let file = home.path().join("thesis.tex");
    assert!(matches!(RunDirectory::open(&file, Arc::new(Disk), identity(9)), Err(StoreError::Occupied(_))));
    assert_eq!(fs::read_to_string(file).unwrap(), "years of work");
    let temporary = TempDir::new().unwrap();
    fs::write(temporary.path().join("thesis.tmp"), "years of work").unwrap();
    let error = RunDirectory::open(temporary.path(), Arc::new(Disk), identity(9)).unwrap_err();
    assert!(matches!(&error, StoreError::Occupied(text) if text.contains("thesis.tmp")), "{error}");
    assert_eq!(names(temporary.path()), ["thesis.tmp"]);
    // What a killed run leaves behind is empty or begins like a manifest; files of these names may be anybody's.
    for name in ["lock", "manifest.json.tmp"] {
        let other = TempDir::new().unwrap();
        fs::write(other.path().join(name), "years of work").unwrap();
        let error = RunDirectory::open(other.path(), Arc::new(Disk), identity(9)).unwrap_err();
        assert!(matches!(&error, StoreError::Occupied(text) if text.contains(name)), "{error}");
        assert_eq!(fs::read_to_string(other.path().join(name)).unwrap(), "years of work");
    }
    for (name, left) in
        [("lock", ""), ("manifest.json.tmp", ""), ("manifest.json.tmp", "{\n  \"schema_version\": 1,\n  \"to")]
    {
        let killed = TempDir::new().unwrap();
        fs::write(killed.path().join(name), left).unwrap();
        assert!(RunDirectory::open(killed.path(), Arc::new(Disk), identity(9)).is_ok(), "{name}");
    }
    let broken = TempDir::new().unwrap();
    fs::write(broken.path().join("manifest.json"), "{").unwrap();
    assert!(matches!(RunDirectory::open(broken.path(), Arc::new(Disk), identity(9)), Err(StoreError::Occupied(_))));
}

#[test]
fn a_run_that_never_began_leaves_no_trace() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("run");
    drop(ready(&path, Arc::new(Disk), identity(9)).unwrap());
    assert!(!path.exists());
}

#[test]
fn one_process_at_a_time_holds_a_directory() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("run");
    let mut first = ready(&path, Arc::new(Disk), identity(9)).unwrap();
    assert!(matches!(RunDirectory::open(&path, Arc::new(Disk), identity(9)), Err(StoreError::Locked(_))));
    first.begin(2, begin(&engines(ENGINE), false)).unwrap();
    assert!(matches!(RunDirectory::open(&path, Arc::new(Disk), identity(9)), Err(StoreError::Locked(_))));
    drop(first);
    assert_eq!(run(&path, Arc::new(Disk), 2, 9).unwrap(), 2);
}

#[test]
fn another_engine_goes_on_only_when_mixing_is_wanted() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("run");
    let mut directory = ready(&path, Arc::new(Disk), identity(9)).unwrap();
    directory.begin(2, begin(&engines(ENGINE), false)).unwrap();
    let rows = rows(0, 2, 9);
    directory.commit(0, ENGINE, &rows, tally(&rows)).unwrap();
    drop(directory);
    let mut directory = ready(&path, Arc::new(Disk), identity(9)).unwrap();
    let error = directory.begin(2, begin(&engines("gpu f32 test"), false)).unwrap_err().to_string();
    for part in [ENGINE, "gpu f32 test", "--mixed"] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(directory.begin(2, begin(&engines("gpu f32 test"), true)).unwrap(), [true, false]);
    drop(directory);
    let manifest: Manifest = serde_json::from_slice(&fs::read(path.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest.fingerprints, ["gpu f32 test", ENGINE]);
}
