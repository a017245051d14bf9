//! What fake upstreams answer, sound or not.
//!
//! `folded` and `upper` change the case of the question, `question=NAME`, `type=TYPE` and `class=CH` make
//! it another; `query` leaves QR clear; `counts=N,N,N` says so of the sections whatever is there;
//! `tail=HEX` puts bytes behind everything, `*N` behind them as often; `garbage` takes the last byte away.
//! The owner `@` is the question's name.

use crate::message::{Message, Opt, Record, Writer};
use crate::script::Options;
use crate::text;

/// Makes an upstream's answer to `query`, as a script says.
pub fn make_answer(
    query: &Message,
    mut options: Options,
    records: &[Record],
    number: u16,
) -> Result<Vec<u8>, String> {
    let mut flags = 0x8080 | query.flags & 0x0110;
    for (flag, bit) in [("aa", 0x400), ("tc", 0x200), ("ad", 0x20)] {
        flags |= if options.flag(flag) { bit } else { 0 };
    }
    if options.flag("norecursion") {
        flags &= !0x80;
    }
    let mut opt = query.opt.as_ref().map(|opt| Opt {
        payload: 1232,
        dnssec_ok: opt.dnssec_ok,
        ..Opt::default()
    });
    if options.flag("plain") {
        opt = None;
    }
    let mut add = |code: u16, data: Vec<u8>| {
        let opt = opt.as_mut().ok_or("there is no OPT for this")?;
        opt.options.push((code, data));
        Ok::<_, String>(())
    };
    if let Some(error) = options.value("ede") {
        let (code, text) = error.split_once(':').ok_or("ede=CODE:TEXT")?;
        let code: u16 = code.parse().map_err(|_| "ede=CODE:TEXT")?;
        add(15, [&code.to_be_bytes(), text.as_bytes()].concat())?;
    }
    while let Some(option) = options.value("option") {
        let (code, data) = option.split_once(':').ok_or("option=CODE:HEX")?;
        add(code.parse().map_err(|_| "no option code")?, text::hex(data)?)?;
    }
    let id = query.id.wrapping_add(if options.flag("wrong-id") { number } else { 0 });
    let (garbage, bare) = (options.flag("garbage"), options.flag("bare"));
    let opt_first = options.flag("opt-first");
    let question = Asked::of(query, &mut options)?;
    if options.flag("query") {
        flags &= !0x8000;
    }
    flags |= options.number::<u16>("opcode")?.unwrap_or(0) << 11;
    let (counts, tail) = (options.value("counts"), options.value("tail"));
    let rcode = match options.next() {
        Some(name) => text::rcode_of(&name).ok_or_else(|| format!("{name} is no rcode"))?,
        None => 0,
    };
    options.done()?;
    if let Some(opt) = &mut opt {
        opt.extended_rcode = (rcode >> 4) as u8;
    }
    let mut writer = Writer::new(id, flags | rcode & 15);
    if bare {
        return Ok(writer.bytes);
    }
    writer.question(&question.name, question.rtype, question.class)?;
    let (front, behind): (Vec<_>, Vec<_>) =
        records.iter().partition(|record| !opt_first || record.section < 2);
    let mut add = |record: &Record| writer.record(&record.about(&query.name));
    front.into_iter().try_for_each(&mut add)?;
    opt.iter().for_each(|opt| writer.opt(opt));
    behind.into_iter().try_for_each(|record| writer.record(&record.about(&query.name)))?;
    if garbage {
        writer.bytes.pop();
    }
    let mut bytes = writer.bytes;
    if let Some(tail) = tail {
        bytes.extend(text::tail(&tail)?);
    }
    if let Some(counts) = counts {
        for (place, count) in bytes[6..12].chunks_exact_mut(2).zip(counts.split(',')) {
            let count: u16 = count.parse().map_err(|_| "counts=N,N,N")?;
            place.copy_from_slice(&count.to_be_bytes());
        }
    }
    Ok(bytes)
}

/// The question as an answer has it.
struct Asked {
    name: String,
    rtype: u16,
    class: u16,
}

impl Asked {
    fn of(query: &Message, options: &mut Options) -> Result<Asked, String> {
        let name = options.value("question").unwrap_or_else(|| query.name.clone());
        let name = match (options.flag("folded"), options.flag("upper")) {
            (true, _) => name.to_ascii_lowercase(),
            (_, true) => name.to_ascii_uppercase(),
            _ => name,
        };
        let rtype = options.value("type").map(|name| text::type_of(&name)).transpose()?;
        let class = match options.value("class").as_deref() {
            None => query.class,
            Some("CH") => 3,
            Some(other) => return Err(format!("class {other} is not known here")),
        };
        Ok(Asked { name, rtype: rtype.unwrap_or(query.rtype), class })
    }
}
