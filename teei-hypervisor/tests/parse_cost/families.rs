//! Modules that keep every rule and cost as much as they can.

/// A family: modules that grow.
pub struct Family {
    /// What is in excess.
    pub name: &'static str,
    grows: Grows,
}

enum Grows {
    /// By functions: fields of the module, and one function with so many of what is in excess.
    Functions(&'static str, fn(usize) -> String),
    /// By anything else: fields of the module.
    Fields(fn(usize) -> String),
}
use Grows::{Fields, Functions};

impl Family {
    /// The largest module of the family within `size` bytes, with functions of about `body` bytes.
    pub fn module(&self, size: usize, body: usize) -> Option<Vec<u8>> {
        match self.grows {
            Fields(fields) => fit(size, |count| text("i32.const 0", &fields(count))),
            Functions(fields, function) => {
                let alone = |count: usize| text("i32.const 0", &format!("{fields}{}", function(count)));
                let rest = compile(&text("i32.const 0", fields)).len();
                let whole = fits(body.min(size) + rest, alone)?.min(fits(size, alone)?);
                let (whole_text, whole_len) = (function(whole), compile(&alone(whole)).len() - rest);
                let most = (size.saturating_sub(rest) / whole_len).saturating_sub(1).min(1000);
                fit(size, |count| {
                    let last = if count > most { function((count - most).min(whole)) } else { String::new() };
                    text("i32.const 0", &format!("{fields}{}{last}", whole_text.repeat(count.min(most))))
                })
            }
        }
    }
}

fn fits(size: usize, text: impl Fn(usize) -> String) -> Option<usize> {
    let len = |count| compile(&text(count)).len();
    let (few, more) = (len(1), len(17));
    let mut count = 1 + size.checked_sub(few)? * 16 / (more - few).max(1) + 16;
    while len(count) > size {
        count -= (count / 100).max(1);
    }
    Some(count)
}

fn fit(size: usize, text: impl Fn(usize) -> String) -> Option<Vec<u8>> {
    let mut count = fits(size, &text)?;
    let mut best = compile(&text(count));
    for _ in 0..40 {
        count += 1;
        let next = compile(&text(count));
        if next.len() > size {
            break;
        }
        best = next;
    }
    Some(best)
}

/// A module out of its text.
pub fn compile(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{}", &text[..text.len().min(2000)]))
}

/// A module with `rest` in it, and `body` in its handler.
pub fn text(body: &str, rest: &str) -> String {
    format!(
        r#"(module
            (type $v (func))
            (import "teei" "call" (func $call (param i32 i32 i32 i32 i32 i32) (result i32)))
            (func $f)
            (func $f1 (param i32))
            (func $f32 (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32))
            (table 256 256 funcref)
            (memory (export "memory") 13 13)
            (global (mut i32) (i32.const 0))
            (func $b (export "trustlet_buffer") (result i32) i32.const 1024)
            (func (export "trustlet_handle") (param $len i32) (result i32) {body})
            {rest})"#
    )
}

/// `count` repetitions in a function.
fn body(head: &str, count: usize, part: &str, tail: &str) -> String {
    format!("(func (param i32 i64) {head} {} {tail})", part.repeat(count))
}

fn numbered(count: usize, part: impl Fn(usize) -> String) -> String {
    (0..count).map(part).collect()
}

/// Every family.
pub const FAMILIES: &[Family] = &[
    Family {
        name: "small functions",
        grows: Functions("", |n| format!("(func {})", "i64.const 1000000000000 drop ".repeat(3 + n / 1000))),
    },
    Family {
        name: "256 locals in every function",
        grows: Functions("", |n| {
            format!(
                "(func (local {}) {})",
                "i64 ".repeat(256),
                "i64.const 1000000000000 drop ".repeat(3 + n / 1000)
            )
        }),
    },
    Family {
        name: "256 locals, all read",
        grows: Functions("", |_| {
            format!(
                "(func (local {}) {} {})",
                "i64 ".repeat(256),
                numbered(256, |i| format!("local.get {i} ")),
                "drop ".repeat(256)
            )
        }),
    },
    Family {
        name: "256 groups of locals",
        grows: Functions("", |_| format!("(func (local {}))", "i64 i32 ".repeat(128))),
    },
    Family {
        name: "types",
        grows: Fields(|n| {
            numbered(n.min(120), |i| {
                let p: String = (0..32).map(|b| if (i >> b) & 1 == 0 { "i32 " } else { "i64 " }).collect();
                format!("(type (func (param {p})))")
            })
        }),
    },
    Family {
        name: "exports",
        grows: Fields(|n| {
            (0..n.min(13))
                .map(|i| format!("(func (export \"{i}{}\"))", "x".repeat(n * 8)))
                .collect::<String>()
        }),
    },
    Family {
        name: "globals",
        grows: Fields(|n| {
            (0..n.min(31))
                .map(|i| format!("(global (mut i64) (i64.const {}))", i64::MAX - i as i64))
                .collect::<String>()
        }),
    },
    Family {
        name: "one data segment",
        grows: Fields(|n| format!("(data (i32.const 0) \"{}\")", "x".repeat(n * 16))),
    },
    Family {
        name: "63 data segments",
        grows: Fields(|n| {
            (0..63).map(|_| format!("(data (i32.const 0) \"{}\")", "x".repeat(n))).collect::<String>()
        }),
    },
    Family {
        name: "table segments",
        grows: Fields(|n| (0..n.min(63)).map(|_| "(elem (i32.const 0) 1 1 1 1)").collect::<String>()),
    },
    Family {
        name: "one-byte operators",
        grows: Functions("", |n| body("local.get 0", n * 4, "i32.clz ", "drop")),
    },
    Family {
        name: "selects of compares",
        grows: Functions("", |n| body("", n, "local.get 0 local.get 0 local.get 0 i32.eqz select drop ", "")),
    },
    Family {
        name: "selects of far constants",
        grows: Functions("", |n| body("", n, "i32.const 8000 i32.const 8001 local.get 0 select drop ", "")),
    },
    Family {
        name: "distinct i64 constants",
        grows: Functions("", |n| {
            format!(
                "(func {})",
                numbered(n, |i| format!("(i64.store (i32.const 0) (i64.const {}))", i64::MAX - i as i64))
            )
        }),
    },
    Family {
        name: "distinct i32 constants",
        grows: Functions("", |n| {
            format!(
                "(func {})",
                numbered(n, |i| format!("(i32.store (i32.const 0) (i32.const {}))", 70_000 + i))
            )
        }),
    },
    Family {
        name: "distinct constants compared",
        grows: Functions("", |n| {
            format!(
                "(func (param i32) local.get 0 {} drop)",
                numbered(n, |i| format!("i32.const {} i32.add ", 70_000 + i))
            )
        }),
    },
    Family { name: "if and else", grows: Functions("", |n| body("", n, "local.get 0 if else end ", "")) },
    Family {
        name: "if and else with values",
        grows: Functions("", |n| {
            body("", n, "local.get 0 if (result i32) local.get 0 else i32.const 100000 end drop ", "")
        }),
    },
    Family { name: "if", grows: Functions("", |n| body("", n, "local.get 0 if end ", "")) },
    Family {
        name: "if and else on a constant",
        grows: Functions("", |n| body("", n, "i32.const 1 if else end ", "")),
    },
    Family {
        name: "if and else on a result",
        grows: Functions("", |n| body("", n, "memory.size if else end ", "")),
    },
    Family { name: "blocks", grows: Functions("", |n| body("", n, "block end ", "")) },
    Family { name: "loops", grows: Functions("", |n| body("", n, "loop end ", "")) },
    Family {
        name: "loops that go on",
        grows: Functions("", |n| body("", n, "loop local.get 0 br_if 0 end ", "")),
    },
    Family {
        name: "branches out of the function",
        grows: Functions("", |n| body("", n, "local.get 0 br_if 0 ", "")),
    },
    Family { name: "br out of blocks", grows: Functions("", |n| body("", n, "block br 0 end ", "")) },
    Family {
        name: "nesting of 64",
        grows: Functions("", |_| {
            let (o, c) = ("block ".repeat(64), "end ".repeat(64));
            format!("(func {o} {c})")
        }),
    },
    Family {
        name: "ifs nested 64",
        grows: Functions("", |_| {
            let (o, c) = ("i32.const 1 if ".repeat(64), "else end ".repeat(64));
            format!("(func {o} {c})")
        }),
    },
    Family {
        name: "ifs on results nested 64",
        grows: Functions("", |_| {
            let (o, c) = ("memory.size if ".repeat(64), "else end ".repeat(64));
            format!("(func {o} {c})")
        }),
    },
    Family { name: "calls", grows: Functions("", |n| body("", n, "call $f ", "")) },
    Family { name: "calls with results dropped", grows: Functions("", |n| body("", n, "call $b drop ", "")) },
    Family {
        name: "calls with 32 parameters",
        grows: Functions("", |n| {
            let p = "local.get 0 ".repeat(32);
            body("", n, &format!("{p} call $f32 "), "")
        }),
    },
    Family {
        name: "calls with 32 distinct constants",
        grows: Functions("", |n| {
            format!(
                "(func {})",
                numbered(n, |i| format!(
                    "{} call $f32 ",
                    numbered(32, |j| format!("i32.const {} ", 70_000 + i * 32 + j))
                ))
            )
        }),
    },
    Family {
        name: "calls with 1 parameter",
        grows: Functions("", |n| body("", n, "i32.const 1 call $f1 ", "")),
    },
    Family {
        name: "indirect calls",
        grows: Functions("", |n| body("", n, "local.get 0 call_indirect (type $v) ", "")),
    },
    Family {
        name: "indirect calls by constants",
        grows: Functions("", |n| body("", n, "i32.const 0 call_indirect (type $v) ", "")),
    },
    Family {
        name: "loads with far offsets",
        grows: Functions("", |n| body("", n, "local.get 0 i32.load offset=4000000000 drop ", "")),
    },
    Family { name: "loads chained", grows: Functions("", |n| body("local.get 0", n, "i32.load ", "drop")) },
    Family {
        name: "loads chained far",
        grows: Functions("", |n| body("local.get 0", n, "i32.load offset=70000 ", "drop")),
    },
    Family {
        name: "stores with far offsets",
        grows: Functions("", |n| body("", n, "local.get 0 local.get 1 i64.store offset=4000000000 ", "")),
    },
    Family {
        name: "stores",
        grows: Functions("", |n| body("", n, "local.get 0 local.get 1 i64.store ", "")),
    },
    Family { name: "tees", grows: Functions("", |n| body("i32.const 7", n, "local.tee 0 ", "drop")) },
    Family { name: "sets", grows: Functions("", |n| body("", n, "i32.const 7 local.set 0 ", "")) },
    Family { name: "global reads", grows: Functions("", |n| body("", n, "global.get 0 drop ", "")) },
    Family { name: "global writes", grows: Functions("", |n| body("", n, "local.get 0 global.set 0 ", "")) },
    Family { name: "memory sizes", grows: Functions("", |n| body("", n, "memory.size drop ", "")) },
    Family { name: "memory grows", grows: Functions("", |n| body("memory.size", n, "memory.grow ", "drop")) },
    Family {
        name: "deep constants",
        grows: Functions("", |n| {
            body("", n, &format!("{} {}", "i32.const 0 ".repeat(120), "drop ".repeat(120)), "")
        }),
    },
    Family {
        name: "deep locals kept at a block",
        grows: Functions("", |n| {
            body("", n, &format!("{} block end {}", "local.get 0 ".repeat(120), "drop ".repeat(120)), "")
        }),
    },
    Family {
        name: "deep locals in dead ends",
        grows: Functions("", |n| {
            body("", n, &format!("block {} block end unreachable end ", "local.get 0 ".repeat(120)), "")
        }),
    },
    Family {
        name: "deep temporaries in dead ends",
        grows: Functions("", |n| {
            body("", n, &format!("block {} unreachable end ", "memory.size ".repeat(120)), "")
        }),
    },
    Family {
        name: "deep temporaries, combined",
        grows: Functions("", |n| {
            body(
                "memory.size ",
                n,
                &format!("{} {}", "memory.size ".repeat(120), "i32.add ".repeat(120)),
                "drop",
            )
        }),
    },
    Family {
        name: "deep temporaries, selected",
        grows: Functions("", |n| {
            body(
                "memory.size ",
                n,
                &format!("{} {}", "memory.size ".repeat(120), "select ".repeat(60)),
                "drop",
            )
        }),
    },
    Family {
        name: "deep temporaries, stored",
        grows: Functions("", |n| {
            body("", n, &format!("{} {}", "memory.size ".repeat(120), "i32.store ".repeat(60)), "")
        }),
    },
    Family {
        name: "deep locals overwritten",
        grows: Functions("", |n| {
            body("", n, &format!("{} local.set 0 {}", "local.get 0 ".repeat(120), "drop ".repeat(119)), "")
        }),
    },
    Family {
        name: "deep constants passed",
        grows: Functions("", |n| {
            body("", n, &format!("{} {}", "i32.const 60 ".repeat(96), "call $f32 ".repeat(3)), "")
        }),
    },
    Family {
        name: "deep distinct constants passed",
        grows: Functions("", |n| {
            format!(
                "(func {})",
                numbered(n, |i| numbered(96, |j| format!("i32.const {} ", (i * 96 + j) * 7 % 8100))
                    + "call $f32 call $f32 call $f32 ")
            )
        }),
    },
    Family {
        name: "deep ifs",
        grows: Functions("", |n| {
            body(
                "",
                n,
                &format!("{} if else end {}", "local.get 0 ".repeat(60), "if else end ".repeat(59)),
                "",
            )
        }),
    },
    Family {
        name: "deep branches",
        grows: Functions("", |n| {
            body("", n, &format!("{} {}", "local.get 0 ".repeat(120), "br_if 0 ".repeat(120)), "")
        }),
    },
    Family {
        name: "deep branches with a result",
        grows: Functions("", |n| {
            format!(
                "(func (param i32) (result i32) memory.size {} )",
                format!("{} {}", "local.get 0 ".repeat(120), "br_if 0 ".repeat(120)).repeat(n)
            )
        }),
    },
    Family {
        name: "deep branches on results",
        grows: Functions("", |n| {
            format!(
                "(func (param i32) (result i32) memory.size {} )",
                format!("{} {}", "memory.size ".repeat(120), "br_if 0 ".repeat(120)).repeat(n)
            )
        }),
    },
    Family {
        name: "br_tables of 500 in every function",
        grows: Functions("", |n| {
            format!("(func (param i32) local.get 0 br_table {})", "0 ".repeat(500.min(n * 10)))
        }),
    },
    Family {
        name: "br_tables of 500 over 60 blocks",
        grows: Functions("", |n| {
            format!(
                "(func (param i32) (result i32) {} local.get 0 local.get 0 br_table {} {})",
                "block (result i32) ".repeat(60),
                numbered(500.min(n * 10), |i| format!("{} ", i % 61)),
                "end ".repeat(60)
            )
        }),
    },
    Family {
        name: "br_tables and one-byte operators",
        grows: Functions("", |n| {
            format!(
                "(func (param i32) (result i32) {} local.get 0 {} local.get 0 br_table {} {})",
                "block (result i32) ".repeat(60),
                "i32.clz ".repeat(n * 4),
                numbered(500, |i| format!("{} ", i % 61)),
                "end ".repeat(60)
            )
        }),
    },
    Family {
        name: "small br_tables",
        grows: Functions("", |n| body("", n, "block local.get 0 br_table 0 0 end ", "").replace("XX", "")),
    },
    Family {
        name: "unreachable code",
        grows: Functions("", |n| {
            body("unreachable", n, &format!("{} {}", "i32.const 1 ".repeat(120), "drop ".repeat(120)), "")
        }),
    },
    Family {
        name: "ifs inside out",
        grows: Functions("", |n| {
            body("", n, &format!("{} {}", "memory.size if ".repeat(60), "else end ".repeat(60)), "")
        }),
    },
    Family {
        name: "blocks with values",
        grows: Functions("", |n| body("", n, "block (result i32) i32.const 1 end drop ", "")),
    },
    Family {
        name: "local kept and set again",
        grows: Functions("", |n| body("", n, "local.get 0 i32.const 1 local.set 0 drop ", "")),
    },
    Family { name: "returns", grows: Functions("", |n| body("", n * 4, "block return end ", "")) },
];
