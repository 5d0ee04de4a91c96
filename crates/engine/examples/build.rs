use dayfly_engine::*;
use std::time::Instant;
fn main() {
    let n: u32 = std::env::args().nth(1).unwrap().parse().unwrap();
    let mode: Mode = std::env::args().nth(2).unwrap().parse().unwrap();
    for _ in 0..6 {
        let mut t = vec![];
        let e = Engine::new(EngineConfig { mode, max_instances: n, ..Default::default() }).unwrap();
        for f in Flavour::ALL { let s = Instant::now(); e.wasmtime(f).unwrap(); t.push(s.elapsed()); }
        print!("{t:?} ");
    let st = std::fs::read_to_string("/proc/self/status").unwrap();
    let g = |k: &str| st.lines().find(|l| l.starts_with(k)).unwrap().split_whitespace().nth(1).unwrap().to_owned();
    println!("maps {} rss {} pte {}", std::fs::read_to_string("/proc/self/maps").unwrap().lines().count(), g("VmRSS"), g("VmPTE"));
    }
}
