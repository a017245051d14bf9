//! What fake upstreams answer, sound or not.

use crate::message::{Message, Opt, Record, Writer};
use crate::script::Options;
use crate::text;

/// Makes an upstream's answer to `query`, as a script says.
pub fn make_answer(
    query: &Message,
    mut options: Options,
    records: &[Record],
) -> Result<Vec<u8>, String> {
    let mut flags = 0x8080 | query.flags & 0x0110;
    for (flag, bit) in [("aa", 0x400), ("tc", 0x200), ("ad", 0x20)] {
        flags |= if options.flag(flag) { bit } else { 0 };
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
    let id = if options.flag("wrong-id") { !query.id } else { query.id };
    let (garbage, bare) = (options.flag("garbage"), options.flag("bare"));
    let opt_first = options.flag("opt-first");
    let question = options.value("question");
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
    let name = question.unwrap_or_else(|| query.name.clone());
    writer.question(&name, query.rtype, query.class)?;
    let (front, behind): (Vec<_>, Vec<_>) =
        records.iter().partition(|record| !opt_first || record.section < 2);
    front.into_iter().try_for_each(|record| writer.record(record))?;
    opt.iter().for_each(|opt| writer.opt(opt));
    behind.into_iter().try_for_each(|record| writer.record(record))?;
    if garbage {
        writer.bytes.pop();
    }
    Ok(writer.bytes)
}
