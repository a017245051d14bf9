//! Numbered places that are used again, each with a generation, so that a number from before finds
//! nothing instead of somebody else.

/// Number of a place and the generation it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// The place.
    pub index: u32,
    generation: u32,
}

struct Place<T> {
    generation: u32,
    value: Option<T>,
}

/// The places. They grow as needed; the owner sets the limit by [`Slots::len`].
pub struct Slots<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

impl<T> Slots<T> {
    /// None yet.
    pub fn new() -> Slots<T> {
        Slots { places: Vec::new(), free: Vec::new() }
    }

    /// How many are taken.
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Takes a place.
    pub fn insert(&mut self, value: T) -> Ticket {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, value: None });
            self.places.len() as u32 - 1
        });
        let place = &mut self.places[index as usize];
        place.value = Some(value);
        Ticket { index, generation: place.generation }
    }

    /// What is there, if it is still the same.
    #[inline]
    pub fn get(&self, ticket: Ticket) -> Option<&T> {
        let place = self.places.get(ticket.index as usize)?;
        place.value.as_ref().filter(|_| place.generation == ticket.generation)
    }

    /// What is there, if it is still the same.
    #[inline]
    pub fn get_mut(&mut self, ticket: Ticket) -> Option<&mut T> {
        let place = self.places.get_mut(ticket.index as usize)?;
        let same = place.generation == ticket.generation;
        place.value.as_mut().filter(|_| same)
    }

    /// Frees the place and gives back what was there.
    pub fn remove(&mut self, ticket: Ticket) -> Option<T> {
        let place = self.places.get_mut(ticket.index as usize)?;
        if place.generation != ticket.generation {
            return None;
        }
        let value = place.value.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(ticket.index);
        Some(value)
    }

    /// The tickets of all taken places.
    pub fn tickets(&self) -> impl Iterator<Item = Ticket> + '_ {
        self.places
            .iter()
            .enumerate()
            .filter(|(_, place)| place.value.is_some())
            .map(|(index, place)| Ticket { index: index as u32, generation: place.generation })
    }

    /// As one number, for an event's token: 24 bits of generation, 32 of index.
    pub fn pack(ticket: Ticket) -> u64 {
        u64::from(ticket.generation & 0xff_ffff) << 32 | u64::from(ticket.index)
    }

    /// The ticket that was packed, if it is still valid.
    pub fn unpack(&self, packed: u64) -> Option<Ticket> {
        let index = packed as u32;
        let place = self.places.get(index as usize)?;
        let same = u64::from(place.generation & 0xff_ffff) == packed >> 32 & 0xff_ffff;
        (same && place.value.is_some()).then_some(Ticket { index, generation: place.generation })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_old_ticket_finds_nothing() {
        let mut slots = Slots::new();
        let first = slots.insert('a');
        let packed = Slots::<char>::pack(first);
        assert_eq!(slots.unpack(packed), Some(first));
        assert_eq!(slots.remove(first), Some('a'));
        let second = slots.insert('b');
        assert_eq!(second.index, first.index);
        assert_eq!(slots.remove(first), None);
        assert_eq!((slots.get(first), slots.unpack(packed)), (None, None));
        assert_eq!((slots.get(second), slots.len()), (Some(&'b'), 1));
        *slots.get_mut(second).unwrap() = 'c';
        assert_eq!(slots.tickets().collect::<Vec<_>>(), [second]);
    }
}
