use dayfly_engine::*;
use std::time::Instant;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let mode: Mode = args[1].parse().unwrap();
    let dir = std::path::PathBuf::from(&args[2]);
    let threads = std::env::var("THREADS").map_or(0, |t| t.parse().unwrap());
    let config = || EngineConfig { mode, cache_dir: Some(dir.clone()), compile_threads: threads, ..Default::default() };
    for file in &args[3..] {
        let wasm = std::fs::read(file).unwrap();
        let t = Instant::now();
        let d = Digest::of(&wasm);
        let digest = t.elapsed();
        let t = Instant::now();
        let f = Flavour::of(&wasm).unwrap();
        let fl = t.elapsed();
        let t = Instant::now();
        let e = Engine::new(config()).unwrap();
        let t_new = t.elapsed();
        let t = Instant::now();
        e.wasmtime(f).unwrap();
        let t_built = t.elapsed();
        let t = Instant::now();
        let c = match e.load(&wasm) { Ok(c) => c, Err(err) => { println!("{err}"); let mut s = std::error::Error::source(&err); while let Some(x) = s { println!("  {x}"); s = x.source(); } continue } };
        println!("{file}: {f:?} digest {digest:?} flavour {fl:?} new {t_new:?} wasmtime {t_built:?} first load {:?} {:?} artifact {}", t.elapsed(), c.origin(), c.artifact_bytes());
        let t = Instant::now();
        drop(c);
        let td = t.elapsed();
        for _ in 0..3 {
            let e = Engine::new(config()).unwrap();
            e.wasmtime(f).unwrap();
            let t = Instant::now();
            let c = e.load_cached(d, f).unwrap();
            let t1 = t.elapsed();
            let ok = c.is_some();
            drop(c);
            let t = Instant::now();
            let c = e.load_cached(d, f).unwrap();
            println!("   cached {ok}: first {t1:?} again {:?} (drop {td:?})", t.elapsed());
            drop(c);
        }
    }
}
