//! What passes each limit, and by which word that is told.

use super::exports::Export;
use super::{Shape, Way};
use crate::handwritten;

/// A row of the table.
pub(super) struct Limit {
    /// As `limits` names it, and what the test sets it to.
    pub(super) name: &'static str,
    pub(super) value: &'static str,
    /// What passes it, in WebAssembly's text. Where the guest itself sees that it holds, it says so by
    /// `unreachable`, and that it does not by a division.
    passes: &'static str,
    /// A part of what is said then.
    pub(super) says: &'static str,
    /// Why it has no meaning where it has none.
    pub(super) but: fn(&Shape) -> Option<&'static str>,
}

const fn everywhere(_: &Shape) -> Option<&'static str> {
    None
}

pub(super) const LIMITS: [Limit; 16] = [
    Limit {
        name: "memory",
        value: "\"32MiB\"",
        passes: "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
            (if (i32.gt_u (memory.size) (i32.const 512)) (then (return)))
            unreachable",
        says: "more than its memory",
        but: everywhere,
    },
    Limit {
        name: "tables",
        value: "50000",
        passes: "(loop $more (br_if $more
              (i32.ne (table.grow $table (ref.null func) (i32.const 1000)) (i32.const -1))))
            unreachable",
        says: "more than its 50000 elements of tables",
        but: everywhere,
    },
    Limit {
        name: "stack",
        value: "\"64KiB\"",
        passes: "(drop (call $recurse (i64.const 0)))",
        says: "call stack exhausted",
        but: everywhere,
    },
    Limit {
        name: "cpu",
        value: "\"300ms\"",
        passes: "(loop $again (br $again))",
        says: "more than its CPU time of 300ms",
        but: everywhere,
    },
    Limit {
        name: "instructions",
        value: "10000000",
        passes: "(loop $again (br $again))",
        says: "more than its 10000000 instructions",
        but: everywhere,
    },
    Limit {
        name: "time",
        // Its code is loaded within it, too.
        value: "\"3s\"",
        passes: "(call $sleep (i64.const 3600000000000))",
        says: "within its time of 3s",
        but: everywhere,
    },
    Limit {
        name: "concurrency",
        value: "1",
        // Two of them take twice as long as one.
        passes: "(call $sleep (i64.const 1000000000)) unreachable",
        says: "unreachable",
        but: |shape| matches!(shape.way, Way::Call | Way::Run).then_some("alone"),
    },
    Limit {
        name: "body",
        value: "\"1KiB\"",
        passes: "unreachable",
        says: "larger than 1024 bytes",
        but: |shape| match shape.way {
            Way::Call => Some("arguments"),
            Way::Run => Some("terminal"),
            _ => None,
        },
    },
    Limit {
        name: "output",
        value: "\"1MiB\"",
        passes: "
            (local.set $a (call $stdout))
            (call $write_all (local.get $a) (i32.const 64) (i32.const 13) (i32.const 1024))
            (loop $again
              (call $write_all (local.get $a) (i32.const 65536) (i32.const 4096) (i32.const 1024))
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (br_if $again (i32.lt_u (local.get $i) (i32.const 2000))))",
        says: "bytes of output",
        but: |shape| match (shape.exports[0], shape.way) {
            (_, Way::Call | Way::Run) => Some("terminal"),
            (_, Way::Output) => Some("unread"),
            (Export::Redis | Export::Redis3 | Export::Cron | Export::Messaging, _) => Some("none"),
            _ => None,
        },
    },
    Limit {
        name: "headers",
        value: "\"1KiB\"",
        passes: "
            (call $append (call $fields) (i32.const 65536) (i32.const 1) (i32.const 65536)
              (i32.const 2000) (i32.const 1024))
            unreachable",
        says: "total size of fields exceeds limit",
        but: everywhere,
    },
    Limit {
        name: "log",
        value: "\"64KiB\"",
        passes: "
            (local.set $a (call $stderr))
            (loop $again
              (call $write_all (local.get $a) (i32.const 65536) (i32.const 4096) (i32.const 1024))
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (br_if $again (i32.lt_u (local.get $i) (i32.const 100))))
            unreachable",
        says: "log limit of this instance",
        but: |shape| (shape.way == Way::Run).then_some("terminal"),
    },
    Limit {
        name: "files",
        value: "16",
        passes: "
            (call $folders (i32.const 1024))
            (local.set $a (i32.load (i32.load (i32.const 1024))))
            (loop $again
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (call $open_at (local.get $a) (i32.const 0) (i32.const 8) (i32.const 4)
                (i32.const 0) (i32.const 1) (i32.const 1024))
              (br_if $again (i32.eqz (i32.load8_u (i32.const 1024)))))
            (if (i32.eq (local.get $i) (i32.const 16)) (then unreachable))
            (drop (i32.div_u (i32.const 1) (i32.const 0)))",
        says: "unreachable",
        but: everywhere,
    },
    Limit {
        name: "sockets",
        value: "8",
        passes: "
            (loop $again
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (call $socket (i32.const 0) (i32.const 1024))
              (br_if $again (i32.eqz (i32.load8_u (i32.const 1024)))))
            (if (i32.eq (local.get $i) (i32.const 9)) (then unreachable))
            (drop (i32.div_u (i32.const 1) (i32.const 0)))",
        says: "unreachable",
        but: everywhere,
    },
    Limit {
        name: "outbound",
        value: "20",
        passes: "
            (loop $again
              (local.set $a (call $request (call $fields)))
              (drop (call $set_authority (local.get $a) (i32.const 1) (i32.const 16) (i32.const 11)))
              (drop (call $set_path (local.get $a) (i32.const 1) (i32.const 0) (i32.const 1)))
              (call $send (local.get $a) (i32.const 0) (i32.const 0) (i32.const 1024))
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (br_if $again (i32.lt_u (local.get $i) (i32.const 21))))
            (call $sleep (i64.const 50000000))
            unreachable",
        says: "refused: `limits.outbound`",
        but: everywhere,
    },
    Limit {
        name: "resources",
        value: "1000",
        passes: "(loop $again (drop (call $fields)) (br $again))",
        says: "trapped",
        but: everywhere,
    },
    Limit {
        name: "depth",
        value: "1",
        // It is called by a component itself.
        passes: "
            (local.set $a (call $request (call $fields)))
            (drop (call $set_authority (local.get $a) (i32.const 1) (i32.const 96) (i32.const 23)))
            (drop (call $set_path (local.get $a) (i32.const 1) (i32.const 0) (i32.const 1)))
            (call $send (local.get $a) (i32.const 0) (i32.const 0) (i32.const 1024))
            (call $sleep (i64.const 50000000))
            unreachable",
        says: "refused: `limits.depth`",
        but: |shape| match shape.way {
            Way::Route => None,
            Way::Call | Way::Run => Some("alone"),
            Way::Queue | Way::Socket | Way::Output => Some("first"),
        },
    },
];

/// How handlers answer with two mebibytes.
const BY_RESPONSE: &str = "
    (local.set $a (call $response (call $fields)))
    (call $body (local.get $a) (i32.const 1024))
    (local.set $b (i32.load (i32.const 1028)))
    (call $answer (global.get $out) (i32.const 0) (local.get $a) (i32.const 0) (i64.const 0)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
    (call $open (local.get $b) (i32.const 1024))
    (local.set $b (i32.load (i32.const 1028)))
    (loop $again
      (call $write_all (local.get $b) (i32.const 65536) (i32.const 4096) (i32.const 1024))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 512))))";
const AT_ONCE: &str = "
    (i32.store (i32.const 2064) (i32.const 1)) (i32.store (i32.const 2068) (i32.const 65536))
    (i32.store (i32.const 2072) (i32.const 2097152))";

impl Limit {
    /// What passes it in a component with that export.
    pub(super) fn passed_by(&self, export: Export) -> &'static str {
        match (self.name, export) {
            (_, Export::And03(export)) => self.passed_by(*export),
            ("output", Export::Http02) => BY_RESPONSE,
            ("output", Export::SpinHttp) => AT_ONCE,
            _ => self.passes,
        }
    }

    /// A component that passes it.
    pub(super) fn guest(&self, export: Export) -> String {
        handwritten::component(&export.text(self.name), self.passed_by(export))
    }

    /// A name that is part of no other word of the log.
    pub(super) fn component(&self) -> String {
        format!("over-{}", self.name)
    }
}
