//! Slots by liveness: those that are never alive together share one place.

use super::{Instr, Program, Width};
use smallvec::SmallVec;

/// Per width, something of every slot.
type BySlot = [Vec<usize>; 2];

/// Gives slots that are never alive together one place; `count` slots of either width are used so far.
pub(super) fn assign(program: &mut Program, count: [usize; 2]) {
    let last = last_reads(program, count);
    let mut places: BySlot = count.map(|n| vec![0; n]);
    let mut free: BySlot = BySlot::default();
    for (i, instr) in program.code.iter_mut().enumerate() {
        let reads = instr.reads();
        instr.rename(&|w, s| places[w as usize][s]);
        if let Some((w, slot)) = instr.written() {
            let place = free[w as usize].pop().unwrap_or_else(|| {
                program.slots[w as usize] += 1;
                program.slots[w as usize] - 1
            });
            places[w as usize][*slot] = place;
            *slot = place;
        }
        let mut dead: SmallVec<[(Width, usize); 3]> =
            reads.into_iter().filter(|&(w, s)| last[w as usize][s] == i).collect();
        dead.sort_by_key(|&(w, s)| (w as usize, s));
        dead.dedup();
        for (w, s) in dead {
            free[w as usize].push(places[w as usize][s]);
        }
    }
}

/// The last instruction that reads each slot; never for slots that are kept from tile to tile.
fn last_reads(program: &Program, count: [usize; 2]) -> BySlot {
    let mut last = count.map(|n| vec![0; n]);
    for (i, instr) in program.code.iter().enumerate() {
        for (w, s) in instr.reads() {
            last[w as usize][s] = i;
        }
    }
    for instr in &program.code {
        if let Instr::Spread { along, slot, width } = instr
            && program.kept.contains(along)
        {
            last[*width as usize][*slot] = usize::MAX;
        }
    }
    last
}
