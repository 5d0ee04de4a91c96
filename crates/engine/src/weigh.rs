//! How much work a component is for an optimising compiler, estimated before it is asked: it cannot
//! be interrupted, and there are components of 20 kB that would keep it busy for hours and take all
//! memory. What real compilers make stays far below the bounds; decision 8 has the figures.
//!
//! It counts what the compiler's time was measured to grow with, most of it faster than the code
//! does. What it leaves out is validity: code that cannot be read weighs what was read of it.

use wasmparser::{
    BinaryReaderError, BlockType, CompositeInnerType, Encoding, FunctionBody, Operator, Parser,
    Payload, TypeRef,
};

use crate::EngineError;

/// The most that one function may weigh: some ten seconds of a core.
const FUNCTION: u64 = 4_000_000;
/// The most that a component may weigh: some ten minutes of a core. JavaScript's and Python's
/// engines weigh a tenth.
const COMPONENT: u64 = 128_000_000;
/// The locals that a valid function may have, its parameters among them.
const LOCALS: u32 = 51_000;
/// What is compiled within seconds.
const LIGHT: u64 = 4_000_000;

/// What a component weighs. The unit is about what the compiler does for one usual instruction, a
/// few microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight(u64);

impl Weight {
    /// The weight of a component.
    ///
    /// # Errors
    /// [`EngineError::TooHeavy`] if it, or one of its functions, is over its bound.
    pub fn of(component: &[u8]) -> Result<Self, EngineError> {
        let mut scale = Scale::default();
        for payload in Parser::new(0).parse_all(component) {
            // What cannot be read is the compiler's to judge.
            let Ok(payload) = payload else { break };
            match scale.add(payload) {
                Ok(()) => {}
                Err(Stop::Unreadable) => break,
                Err(Stop::TooHeavy(error)) => return Err(error),
            }
        }
        Ok(Self(scale.all))
    }

    /// Whether it is compiled within seconds.
    pub fn is_light(self) -> bool {
        self.0 <= LIGHT
    }
}

enum Stop {
    Unreadable,
    TooHeavy(EngineError),
}

impl From<BinaryReaderError> for Stop {
    fn from(_: BinaryReaderError) -> Self {
        Self::Unreadable
    }
}

/// How many values a type takes and gives: a function's parameters and results, a struct's fields.
#[derive(Clone, Copy, Default)]
struct Arity {
    takes: u64,
    gives: u64,
}

/// What instructions of a module refer to.
#[derive(Default)]
struct Module {
    types: Vec<Arity>,
    functions: Vec<u32>,
    tags: Vec<u32>,
    /// The function whose body comes next.
    next: usize,
}

impl Module {
    fn arity(&self, of: u32) -> Arity {
        self.types.get(of as usize).copied().unwrap_or_default()
    }

    fn function(&self, index: usize) -> Arity {
        self.functions.get(index).map_or_else(Arity::default, |of| self.arity(*of))
    }

    fn block(&self, block: BlockType) -> Arity {
        match block {
            BlockType::Empty => Arity::default(),
            BlockType::Type(_) => Arity { takes: 0, gives: 1 },
            BlockType::FuncType(of) => self.arity(of),
        }
    }
}

#[derive(Default)]
struct Scale {
    all: u64,
    /// What is open: a module, or a component, which has no instructions.
    open: Vec<Option<Module>>,
    spans: Spans,
}

impl Scale {
    fn add(&mut self, payload: Payload<'_>) -> Result<(), Stop> {
        match payload {
            Payload::Version { encoding, .. } => {
                self.open.push((encoding == Encoding::Module).then(Module::default));
            }
            Payload::End(_) => drop(self.open.pop()),
            payload => {
                let Some(Some(module)) = self.open.last_mut() else { return Ok(()) };
                if let Payload::CodeSectionEntry(body) = payload {
                    let index = module.next;
                    module.next += 1;
                    let at = body.range().start;
                    let arity = module.function(index);
                    let weight = Function::weigh(&body, arity, module, &mut self.spans)?;
                    self.all += weight;
                    within(at, weight, FUNCTION, "function")?;
                    within(at, self.all, COMPONENT, "component, up to the function")?;
                } else {
                    declare(module, payload)?;
                }
            }
        }
        Ok(())
    }
}

fn within(at: usize, weight: u64, limit: u64, what: &'static str) -> Result<(), Stop> {
    if weight <= limit {
        return Ok(());
    }
    Err(Stop::TooHeavy(EngineError::TooHeavy { what, at, weight, limit }))
}

/// Notes what a section declares.
fn declare(module: &mut Module, payload: Payload<'_>) -> Result<(), BinaryReaderError> {
    match payload {
        Payload::TypeSection(groups) => {
            for group in groups {
                module.types.extend(group?.types().map(|of| match &of.composite_type.inner {
                    CompositeInnerType::Func(function) => Arity {
                        takes: function.params().len() as u64,
                        gives: function.results().len() as u64,
                    },
                    CompositeInnerType::Struct(fields) => {
                        Arity { takes: fields.fields.len() as u64, gives: 0 }
                    }
                    _ => Arity::default(),
                }));
            }
        }
        Payload::ImportSection(imports) => {
            for import in imports.into_imports() {
                match import?.ty {
                    TypeRef::Func(of) => module.functions.push(of),
                    TypeRef::Tag(tag) => module.tags.push(tag.func_type_idx),
                    _ => {}
                }
            }
            module.next = module.functions.len();
        }
        Payload::FunctionSection(functions) => {
            module.next = module.functions.len();
            for of in functions {
                module.functions.push(of?);
            }
        }
        Payload::TagSection(tags) => {
            for tag in tags {
                module.tags.push(tag?.func_type_idx);
            }
        }
        _ => {}
    }
    Ok(())
}

/// Where in its function each local was used last. One list for all functions: each may
/// declare 50,000 locals in four bytes.
#[derive(Default)]
struct Spans {
    of: Vec<Span>,
    function: u64,
}

#[derive(Clone, Copy, Default)]
struct Span {
    function: u64,
    last: u64,
}

impl Spans {
    /// Notes a use, and tells by how much it makes the local's span longer.
    fn note(&mut self, local: u32, place: u64) -> u64 {
        let local = local as usize;
        if self.of.len() <= local {
            self.of.resize(local + 1, Span::default());
        }
        let span = &mut self.of[local];
        if span.function != self.function {
            *span = Span { function: self.function, last: place };
        }
        place - std::mem::replace(&mut span.last, place)
    }
}

struct Scope {
    is_loop: bool,
    /// What a branch to it takes along.
    carries: u64,
    /// The place at which it begins.
    place: u64,
    /// Uses of locals in it.
    uses: u64,
}

/// What is counted in one function.
struct Function<'a> {
    module: &'a Module,
    spans: &'a mut Spans,
    scopes: Vec<Scope>,
    locals: u64,
    instructions: u64,
    /// Values that instructions move at a time: arguments, results, what branches take along.
    moved: u64,
    /// Labels and branches.
    place: u64,
    loops: u64,
    open_loops: u64,
    /// The depths of all loops.
    depths: u64,
    /// Locals that a loop may change, all loops together.
    changed: u64,
    /// Over how many labels and branches locals have to be followed.
    followed: u64,
}

impl<'a> Function<'a> {
    fn weigh(
        body: &FunctionBody<'_>,
        arity: Arity,
        module: &'a Module,
        spans: &'a mut Spans,
    ) -> Result<u64, BinaryReaderError> {
        let mut locals = arity.takes;
        for declared in body.get_locals_reader()? {
            locals += u64::from(declared?.0);
        }
        spans.function += 1;
        let whole = Scope { is_loop: false, carries: arity.gives, place: 0, uses: 0 };
        let mut function = Self {
            module,
            spans,
            scopes: vec![whole],
            locals,
            instructions: 0,
            moved: arity.takes + arity.gives,
            place: 0,
            loops: 0,
            open_loops: 0,
            depths: 0,
            changed: 0,
            followed: 0,
        };
        for operator in body.get_operators_reader()? {
            function.add(&operator?);
            // Heavy enough: what is open is kept in memory, and there could be millions of it.
            if function.place_weight() > FUNCTION {
                break;
            }
        }
        Ok(function.total())
    }

    /// The factors are what each was measured to cost beside a usual instruction.
    fn total(&self) -> u64 {
        let for_each = 20 + self.locals / 4 + self.instructions + 4 * self.moved;
        let loops = self.loops * self.loops / 25 + 2 * self.depths + 32 * self.changed;
        for_each + loops + self.followed / 2 + self.place_weight()
    }

    fn place_weight(&self) -> u64 {
        self.place * self.place / 500
    }

    fn add(&mut self, operator: &Operator<'_>) {
        use Operator as Op;
        self.instructions += 1;
        match operator {
            Op::LocalGet { local_index: local }
            | Op::LocalSet { local_index: local }
            | Op::LocalTee { local_index: local } => {
                if *local < LOCALS {
                    self.followed += self.spans.note(*local, self.place);
                }
                if let Some(scope) = self.scopes.last_mut() {
                    scope.uses += 1;
                }
            }
            Op::Block { blockty } | Op::If { blockty } => self.begin(false, *blockty),
            Op::Loop { blockty } => self.begin(true, *blockty),
            Op::TryTable { try_table } => {
                self.place += try_table.catches.len() as u64;
                self.begin(false, try_table.ty);
            }
            Op::Else => self.place += 1,
            Op::End => self.end(),
            Op::Br { relative_depth: to }
            | Op::BrIf { relative_depth: to }
            | Op::BrOnNull { relative_depth: to }
            | Op::BrOnNonNull { relative_depth: to }
            | Op::BrOnCast { relative_depth: to, .. }
            | Op::BrOnCastFail { relative_depth: to, .. } => self.branch(*to, 1),
            Op::BrTable { targets } => self.branch(targets.default(), u64::from(targets.len()) + 1),
            Op::Return => self.moved += self.scopes.first().map_or(0, |whole| whole.carries),
            operator => self.moved += self.takes_and_gives(operator),
        }
    }

    /// How many values an instruction moves whose type says so.
    fn takes_and_gives(&self, operator: &Operator<'_>) -> u64 {
        use Operator as Op;
        let arity = match operator {
            Op::Call { function_index } | Op::ReturnCall { function_index } => {
                self.module.function(*function_index as usize)
            }
            Op::CallIndirect { type_index: of, .. }
            | Op::ReturnCallIndirect { type_index: of, .. }
            | Op::CallRef { type_index: of }
            | Op::ReturnCallRef { type_index: of }
            | Op::StructNew { struct_type_index: of }
            | Op::StructNewDefault { struct_type_index: of } => self.module.arity(*of),
            Op::Throw { tag_index } => {
                let of = self.module.tags.get(*tag_index as usize);
                of.map_or_else(Arity::default, |of| self.module.arity(*of))
            }
            Op::ArrayNewFixed { array_size, .. } => {
                Arity { takes: u64::from(*array_size), gives: 0 }
            }
            _ => Arity::default(),
        };
        arity.takes + arity.gives
    }

    fn begin(&mut self, is_loop: bool, block: BlockType) {
        let Arity { takes, gives } = self.module.block(block);
        self.moved += takes + gives;
        self.place += 1;
        if is_loop {
            self.loops += 1;
            self.open_loops += 1;
            self.depths += self.open_loops;
        }
        let carries = if is_loop { takes } else { gives };
        self.scopes.push(Scope { is_loop, carries, place: self.place, uses: 0 });
    }

    fn end(&mut self) {
        let Some(Scope { is_loop, place, uses, .. }) = self.scopes.pop() else { return };
        self.place += 1;
        if is_loop {
            let changed = uses.min(self.locals);
            self.changed += changed;
            self.open_loops -= 1;
            // Beyond the last use in a loop, a local is followed to its end and from its beginning.
            if self.open_loops == 0 {
                self.followed += changed * (self.place - place);
            }
        }
        if let Some(outer) = self.scopes.last_mut() {
            outer.uses += uses;
        }
    }

    fn branch(&mut self, to: u32, targets: u64) {
        let scope = self.scopes.iter().nth_back(to as usize);
        self.moved += targets * scope.map_or(0, |scope| scope.carries);
        self.place += targets;
    }
}

#[cfg(test)]
mod tests;
