//! What the kernel's verifier says of each program, and how long loading it takes.

use std::{
    collections::{HashMap, HashSet},
    os::fd::{AsFd as _, AsRawFd as _},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use aya::Ebpf;
use aya_obj::{
    Object, ProgramSection,
    generated::{BPF_F_XDP_HAS_FRAGS, bpf_attach_type, bpf_prog_type},
};
use gateway_userspace::datapath::OBJECT;

use super::sys::{self, Kind, Text};
use crate::{
    object::{self, LoadedMap, SMALL_SIZES},
    report::{Column, Table},
    statistics::Spread,
};

/// How often all programs are loaded.
const LOADS: usize = 5;

/// What one load of a program showed.
struct Loaded {
    name: String,
    verified_instructions: u32,
    /// The id of its descriptions of types.
    types: u32,
    translated_bytes: u32,
    jited_bytes: u32,
    load_ms: f64,
}

/// Loads all programs several times and reads the kernel's figures.
pub(super) fn run() -> Result<Table> {
    eprintln!("packets: loading all programs {LOADS} times");
    let mut loads = Vec::new();
    for _ in 0..LOADS {
        loads.push(load(&mut object::load(SMALL_SIZES)?)?);
    }
    let mut ebpf = object::load(SMALL_SIZES)?;
    let programs = load(&mut ebpf)?;
    let maps = object::maps(&ebpf)?;
    let mut rows = Vec::new();
    for (index, program) in programs.iter().enumerate() {
        let load_ms = Spread::of(loads.iter().map(|load| load[index].load_ms));
        rows.push(vec![
            program.name.clone(),
            program.verified_instructions.to_string(),
            program.translated_bytes.to_string(),
            program.jited_bytes.to_string(),
            stack(program, &maps)?,
            format!("{load_ms:.1}"),
        ]);
    }
    Ok(Table {
        title: "What the verifier says",
        notes: vec![format!(
            "Instructions that the verifier walked through (its limit is a million), bytes of BPF \
             code and of machine code, stack of the program and of each function below it (a \
             chain of calls may use 512 bytes), and milliseconds to load: median [min – max] of \
             {LOADS} loads."
        )],
        columns: vec![
            Column::Words("program"),
            Column::Numbers("verified instructions"),
            Column::Numbers("BPF bytes"),
            Column::Numbers("machine code bytes"),
            Column::Words("stack bytes"),
            Column::Numbers("load ms"),
        ],
        rows,
        pictures: Vec::new(),
    })
}

/// Loads every program once, sorted by name.
fn load(ebpf: &mut Ebpf) -> Result<Vec<Loaded>> {
    let mut loaded = Vec::new();
    for (name, program) in ebpf.programs_mut() {
        let started = Instant::now();
        object::load_program(name, program)?;
        let load_ms = started.elapsed().as_secs_f64() * 1e3;
        let info = program.info().with_context(|| format!("asking the kernel about {name}"))?;
        loaded.push(Loaded {
            name: name.to_owned(),
            verified_instructions: info.verified_instruction_count().unwrap_or(0),
            types: info.btf_id().with_context(|| format!("{name} has no types"))?,
            translated_bytes: info.size_translated().unwrap_or(0),
            jited_bytes: info.size_jitted(),
            load_ms,
        });
    }
    loaded.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(loaded)
}

/// The stack that a program's functions use, as the verifier writes it: `208+0+160`.
///
/// Only the verifier's log tells, and aya does not ask for it when a program loads. So this
/// loads the program once more by itself; that it verifies as many instructions as aya's shows
/// that it is the same.
fn stack(loaded: &Loaded, maps: &HashMap<String, LoadedMap>) -> Result<String> {
    let Loaded { name, verified_instructions, .. } = loaded;
    let mut object = Object::parse(OBJECT).context("reading the eBPF object")?;
    let definitions = object.maps.clone();
    let descriptors = definitions.iter().filter_map(|(name, definition)| {
        Some((name.as_str(), maps.get(name)?.fd.as_fd().as_raw_fd(), definition))
    });
    let sections: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    object.relocate_maps(descriptors, &sections).context("inserting maps into the programs")?;
    object.relocate_calls(&sections).context("linking the programs")?;

    let program = object.programs.get(name).with_context(|| format!("no program {name}"))?;
    let function = &object.functions[&program.function_key()];
    let kind = kind(&program.section)?;
    let types = sys::types(loaded.types).context("asking for descriptions of types")?;
    let text = Text {
        instructions: &function.instructions,
        license: &program.license,
        types: types.as_fd(),
        functions: &function.func_info.func_info,
    };
    let log = sys::verify(kind, text).with_context(|| format!("loading {name} with statistics"))?;
    let read = || {
        let stack = log.lines().find_map(|line| line.strip_prefix("stack depth "))?;
        let processed = log.lines().find_map(|line| line.strip_prefix("processed "))?;
        Some((stack.to_owned(), processed.split(' ').next()?.parse::<u32>().ok()?))
    };
    let (stack, processed) =
        read().with_context(|| format!("the verifier does not tell the stack's depth: {log}"))?;
    ensure!(
        processed == *verified_instructions,
        "{name} verified {processed} instructions on its own, but {verified_instructions} before"
    );
    Ok(stack)
}

fn kind(section: &ProgramSection) -> Result<Kind> {
    if let ProgramSection::Xdp { frags, .. } = section {
        return Ok(Kind {
            program: bpf_prog_type::BPF_PROG_TYPE_XDP,
            attach: bpf_attach_type::BPF_XDP,
            flags: if *frags { BPF_F_XDP_HAS_FRAGS } else { 0 },
        });
    }
    let is_classifier = matches!(section, ProgramSection::SchedClassifier);
    ensure!(is_classifier, "neither XDP nor TC: {section:?}");
    Ok(Kind {
        program: bpf_prog_type::BPF_PROG_TYPE_SCHED_CLS,
        // Zero: TC programs have no attach type when they are loaded.
        attach: bpf_attach_type::BPF_CGROUP_INET_INGRESS,
        flags: 0,
    })
}
