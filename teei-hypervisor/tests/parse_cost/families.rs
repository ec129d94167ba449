//! Modules that keep every rule and cost as much as they can.

/// Pages of their memory: of a length that no other block has.
pub const PAGES: u8 = 13;

/// A family: modules that grow.
pub struct Family {
    /// What is in excess.
    pub name: &'static str,
    /// Functions, or other fields of a module, with so many of what is in excess.
    text: fn(usize) -> String,
    /// Whether a module holds more than one of them.
    repeats: bool,
}

impl Family {
    /// A module of about `size` bytes, not more; its functions have about `body` bytes, not more.
    pub fn module(&self, size: usize, body: usize) -> Option<Vec<u8>> {
        let rest = compile(&module("")).len();
        let room = size.min(if self.repeats { body + rest } else { size });
        let count = fit(room, |count| module(&(self.text)(count)))?;
        let whole = (self.text)(count);
        let len = compile(&module(&whole)).len();
        if !self.repeats {
            return Some(compile(&module(&whole)));
        }
        let copies = (size.checked_sub(rest)? / (len - rest)).clamp(1, 1000);
        let left = size - rest - copies * (len - rest);
        let last = match fit(left + rest, |count| module(&(self.text)(count))) {
            Some(count) if copies < 1000 => (self.text)(count),
            _ => String::new(),
        };
        let most = compile(&module(&(whole.repeat(copies) + &last)));
        Some(if most.len() <= size { most } else { compile(&module(&whole.repeat(copies))) })
    }
}

/// The count with which a text is compiled to at most `size` bytes.
fn fit(size: usize, text: impl Fn(usize) -> String) -> Option<usize> {
    let len = |count| compile(&text(count)).len();
    let (few, more) = (len(1), len(17));
    // The length is almost a straight line; what does not grow at all is as good with one.
    let mut count = 2 + size.checked_sub(few)? * 16 / (more - few).max(16);
    loop {
        let over = len(count).saturating_sub(size);
        if over == 0 || count == 1 {
            return Some(count);
        }
        count = count.saturating_sub(1 + over * 16 / (more - few).max(16)).max(1);
    }
}

/// A module out of its text.
pub fn compile(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{}", &text[..text.len().min(2000)]))
}

/// A module with `rest` in it.
pub fn module(rest: &str) -> String {
    let parameters = "i32 ".repeat(32);
    format!(
        r#"(module
            (type $v (func))
            (import "teei" "call" (func $call (param i32 i32 i32 i32 i32 i32) (result i32)))
            (func $f)
            (func $f1 (param i32))
            (func $f32 (param {parameters}))
            (table 256 256 funcref)
            (memory (export "memory") {PAGES} {PAGES})
            (global (mut i32) (i32.const 0))
            (func $b (export "trustlet_buffer") (result i32) i32.const 1024)
            (func (export "trustlet_handle") (param $len i32) (result i32) i32.const 0)
            {rest})"#
    )
}

/// A function with `count` repetitions of `part`.
fn body(head: &str, count: usize, part: &str, tail: &str) -> String {
    format!("(func (param i32 i64) {head} {} {tail})", part.repeat(count))
}

fn numbered(count: usize, part: impl Fn(usize) -> String) -> String {
    (0..count).map(part).collect()
}

const fn functions(name: &'static str, text: fn(usize) -> String) -> Family {
    Family { name, text, repeats: true }
}

const fn fields(name: &'static str, text: fn(usize) -> String) -> Family {
    Family { name, text, repeats: false }
}

/// One of some dozen parts, as if drawn.
fn mixed(index: usize, seed: usize) -> String {
    let drawn = (index + seed).wrapping_mul(0x9E37_79B9) >> 7;
    let constant = drawn % 100_000;
    match drawn % 13 {
        0 => format!("i32.const {constant} drop "),
        1 => format!("i64.const {constant} local.set 1 "),
        2 => "local.get 0 if else end ".into(),
        3 => "memory.size if (result i32) local.get 0 else memory.size end drop ".into(),
        4 => "block local.get 0 br_if 0 end ".into(),
        5 => "loop end ".into(),
        6 => "local.get 0 i32.clz i32.ctz i32.popcnt local.set 0 ".into(),
        7 => format!("local.get 0 i32.load offset={constant} local.tee 0 drop "),
        8 => format!("local.get 0 i32.const {constant} i32.store "),
        9 => "call $b call $f1 ".into(),
        10 => "local.get 0 call_indirect (type $v) ".into(),
        11 => "memory.size memory.size local.get 0 select drop ".into(),
        _ => "global.get 0 memory.grow global.set 0 ".into(),
    }
}

/// Every family.
pub const FAMILIES: &[Family] = &[
    functions("small functions", |_| format!("(func {})", "i64.const 1000000000000 drop ".repeat(5))),
    functions("256 locals in every function", |_| {
        format!("(func (local {}) {})", "i64 ".repeat(256), "i64.const 1000000000000 drop ".repeat(5))
    }),
    functions("256 locals, all read", |_| {
        format!("(func (local {}) {})", "i64 ".repeat(256), numbered(256, |i| format!("local.get {i} drop ")))
    }),
    functions("256 groups of locals", |_| format!("(func (local {}))", "i64 i32 ".repeat(128))),
    fields("types", |n| {
        numbered(n.min(120), |i| {
            let p: String = (0..32).map(|b| if (i >> b) & 1 == 0 { "i32 " } else { "i64 " }).collect();
            format!("(type (func (param {p})))")
        })
    }),
    fields("exports", |n| {
        (0..n.min(13)).map(|i| format!("(func (export \"{i}{}\"))", "x".repeat(n * 8))).collect::<String>()
    }),
    fields("globals", |n| {
        (0..n.min(31))
            .map(|i| format!("(global (mut i64) (i64.const {}))", i64::MAX - i as i64))
            .collect::<String>()
    }),
    fields("one data segment", |n| format!("(data (i32.const 0) \"{}\")", "x".repeat(n * 16))),
    fields("63 data segments", |n| {
        (0..63).map(|_| format!("(data (i32.const 0) \"{}\")", "x".repeat(n))).collect::<String>()
    }),
    fields("table segments", |n| (0..n.min(63)).map(|_| "(elem (i32.const 0) 1 1 1 1)").collect::<String>()),
    functions("one-byte operators", |n| body("local.get 0", n * 4, "i32.clz ", "drop")),
    functions("selects of compares", |n| {
        body("", n, "local.get 0 local.get 0 local.get 0 i32.eqz select drop ", "")
    }),
    functions("selects of far constants", |n| {
        body("", n, "i32.const 8000 i32.const 8001 local.get 0 select drop ", "")
    }),
    functions("distinct i64 constants", |n| {
        format!(
            "(func {})",
            numbered(n, |i| format!("(i64.store (i32.const 0) (i64.const {}))", i64::MAX - i as i64))
        )
    }),
    functions("distinct i32 constants", |n| {
        format!("(func {})", numbered(n, |i| format!("(i32.store (i32.const 0) (i32.const {}))", 70_000 + i)))
    }),
    functions("distinct constants compared", |n| {
        format!(
            "(func (param i32) local.get 0 {} drop)",
            numbered(n, |i| format!("i32.const {} i32.add ", 70_000 + i))
        )
    }),
    functions("if and else", |n| body("", n, "local.get 0 if else end ", "")),
    functions("if and else with values", |n| {
        body("", n, "local.get 0 if (result i32) local.get 0 else i32.const 100000 end drop ", "")
    }),
    functions("if", |n| body("", n, "local.get 0 if end ", "")),
    functions("if and else on a constant", |n| body("", n, "i32.const 1 if else end ", "")),
    functions("if and else on a result", |n| body("", n, "memory.size if else end ", "")),
    functions("blocks", |n| body("", n, "block end ", "")),
    functions("loops", |n| body("", n, "loop end ", "")),
    functions("loops that go on", |n| body("", n, "loop local.get 0 br_if 0 end ", "")),
    functions("branches out of the function", |n| body("", n, "local.get 0 br_if 0 ", "")),
    functions("br out of blocks", |n| body("", n, "block br 0 end ", "")),
    functions("nesting of 64", |_| {
        let (o, c) = ("block ".repeat(64), "end ".repeat(64));
        format!("(func {o} {c})")
    }),
    functions("ifs nested 64", |_| {
        let (o, c) = ("i32.const 1 if ".repeat(64), "else end ".repeat(64));
        format!("(func {o} {c})")
    }),
    functions("ifs on results nested 64", |_| {
        let (o, c) = ("memory.size if ".repeat(64), "else end ".repeat(64));
        format!("(func {o} {c})")
    }),
    functions("calls", |n| body("", n, "call $f ", "")),
    functions("calls with results dropped", |n| body("", n, "call $b drop ", "")),
    functions("calls with 32 parameters", |n| {
        let p = "local.get 0 ".repeat(32);
        body("", n, &format!("{p} call $f32 "), "")
    }),
    functions("calls with 32 distinct constants", |n| {
        format!(
            "(func {})",
            numbered(n, |i| format!(
                "{} call $f32 ",
                numbered(32, |j| format!("i32.const {} ", 70_000 + i * 32 + j))
            ))
        )
    }),
    functions("calls with 1 parameter", |n| body("", n, "i32.const 1 call $f1 ", "")),
    functions("indirect calls", |n| body("", n, "local.get 0 call_indirect (type $v) ", "")),
    functions("indirect calls by constants", |n| body("", n, "i32.const 0 call_indirect (type $v) ", "")),
    functions("loads with far offsets", |n| body("", n, "local.get 0 i32.load offset=4000000000 drop ", "")),
    functions("loads chained", |n| body("local.get 0", n, "i32.load ", "drop")),
    functions("loads chained far", |n| body("local.get 0", n, "i32.load offset=70000 ", "drop")),
    functions("stores with far offsets", |n| {
        body("", n, "local.get 0 local.get 1 i64.store offset=4000000000 ", "")
    }),
    functions("stores", |n| body("", n, "local.get 0 local.get 1 i64.store ", "")),
    functions("tees", |n| body("i32.const 7", n, "local.tee 0 ", "drop")),
    functions("sets", |n| body("", n, "i32.const 7 local.set 0 ", "")),
    functions("global reads", |n| body("", n, "global.get 0 drop ", "")),
    functions("global writes", |n| body("", n, "local.get 0 global.set 0 ", "")),
    functions("memory sizes", |n| body("", n, "memory.size drop ", "")),
    functions("memory grows", |n| body("memory.size", n, "memory.grow ", "drop")),
    functions("deep constants", |n| {
        body("", n, &format!("{} {}", "i32.const 0 ".repeat(120), "drop ".repeat(120)), "")
    }),
    functions("deep locals kept at a block", |n| {
        body("", n, &format!("{} block end {}", "local.get 0 ".repeat(120), "drop ".repeat(120)), "")
    }),
    functions("deep locals in dead ends", |n| {
        body("", n, &format!("block {} block end unreachable end ", "local.get 0 ".repeat(120)), "")
    }),
    functions("deep temporaries in dead ends", |n| {
        body("", n, &format!("block {} unreachable end ", "memory.size ".repeat(120)), "")
    }),
    functions("deep temporaries, combined", |n| {
        body("memory.size ", n, &format!("{} {}", "memory.size ".repeat(120), "i32.add ".repeat(120)), "drop")
    }),
    functions("deep temporaries, selected", |n| {
        body("memory.size ", n, &format!("{} {}", "memory.size ".repeat(120), "select ".repeat(60)), "drop")
    }),
    functions("deep temporaries, stored", |n| {
        body("", n, &format!("{} {}", "memory.size ".repeat(120), "i32.store ".repeat(60)), "")
    }),
    functions("deep locals overwritten", |n| {
        body("", n, &format!("{} local.set 0 {}", "local.get 0 ".repeat(120), "drop ".repeat(119)), "")
    }),
    functions("deep constants passed", |n| {
        body("", n, &format!("{} {}", "i32.const 60 ".repeat(96), "call $f32 ".repeat(3)), "")
    }),
    functions("deep distinct constants passed", |n| {
        format!(
            "(func {})",
            numbered(n, |i| numbered(96, |j| format!("i32.const {} ", (i * 96 + j) * 7 % 8100))
                + "call $f32 call $f32 call $f32 ")
        )
    }),
    functions("deep ifs", |n| {
        body("", n, &format!("{} if else end {}", "local.get 0 ".repeat(60), "if else end ".repeat(59)), "")
    }),
    functions("deep branches", |n| {
        body("", n, &format!("{} {}", "local.get 0 ".repeat(120), "br_if 0 ".repeat(120)), "")
    }),
    functions("deep branches with a result", |n| {
        format!(
            "(func (param i32) (result i32) memory.size {} )",
            format!("{} {}", "local.get 0 ".repeat(120), "br_if 0 ".repeat(120)).repeat(n)
        )
    }),
    functions("deep branches on results", |n| {
        format!(
            "(func (param i32) (result i32) memory.size {} )",
            format!("{} {}", "memory.size ".repeat(120), "br_if 0 ".repeat(120)).repeat(n)
        )
    }),
    functions("br_tables of 500 in every function", |n| {
        format!("(func (param i32) local.get 0 br_table {})", "0 ".repeat(500.min(n * 10)))
    }),
    functions("br_tables of 500 over 60 blocks", |n| {
        format!(
            "(func (param i32) (result i32) {} local.get 0 local.get 0 br_table {} {})",
            "block (result i32) ".repeat(60),
            numbered(500.min(n * 10), |i| format!("{} ", i % 61)),
            "end ".repeat(60)
        )
    }),
    functions("br_tables and one-byte operators", |n| {
        format!(
            "(func (param i32) (result i32) {} local.get 0 {} local.get 0 br_table {} {})",
            "block (result i32) ".repeat(60),
            "i32.clz ".repeat(n * 4),
            numbered(500, |i| format!("{} ", i % 61)),
            "end ".repeat(60)
        )
    }),
    functions("small br_tables", |n| body("", n.min(250), "block local.get 0 br_table 0 0 end ", "")),
    functions("unreachable code", |n| {
        body("unreachable", n, &format!("{} {}", "i32.const 1 ".repeat(120), "drop ".repeat(120)), "")
    }),
    functions("ifs inside out", |n| {
        body("", n, &format!("{} {}", "memory.size if ".repeat(60), "else end ".repeat(60)), "")
    }),
    functions("blocks with values", |n| body("", n, "block (result i32) i32.const 1 end drop ", "")),
    functions("local kept and set again", |n| body("", n, "local.get 0 i32.const 1 local.set 0 drop ", "")),
    functions("a mixture", |n| format!("(func (param i32 i64) {})", numbered(n, |i| mixed(i, 7)))),
    functions("another mixture", |n| format!("(func (param i32 i64) {})", numbered(n, |i| mixed(i, 3)))),
    functions("returns", |n| body("", n * 4, "block return end ", "")),
];
