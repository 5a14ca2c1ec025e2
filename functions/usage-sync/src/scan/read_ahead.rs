//! Futures that are started before they are awaited: light ones together and heavy ones alone, so that memory
//! stays bounded.

use std::iter::Peekable;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;

use crate::prelude::*;

/// Futures in their order, some of them under way.
pub(crate) struct ReadAhead<'a, T, I: Iterator> {
    rest: Peekable<I>,
    under_way: FuturesOrdered<BoxFuture<'a, T>>,
    /// The weights of those, in the same order.
    weights: VecDeque<usize>,
    most: usize,
    heaviest: usize,
}

impl<'a, T, I: Iterator<Item = (usize, BoxFuture<'a, T>)>> ReadAhead<'a, T, I> {
    /// At most `most` run at once, together no heavier than `heaviest`, except that one alone may be heavier.
    pub(crate) fn of(all: I, most: usize, heaviest: usize) -> ReadAhead<'a, T, I> {
        ReadAhead { rest: all.peekable(), under_way: FuturesOrdered::new(), weights: VecDeque::new(), most, heaviest }
    }

    /// The next result. It is safe to cancel: a caller that stops waiting loses nothing.
    pub(crate) async fn next(&mut self) -> Option<T> {
        while let Some(weight) = self.rest.peek().map(|(weight, _)| *weight)
            && self.has_room_for(weight)
            && let Some((weight, begun)) = self.rest.next()
        {
            self.weights.push_back(weight);
            self.under_way.push_back(begun);
        }
        let next = self.under_way.next().await;
        self.weights.pop_front();
        next
    }

    fn has_room_for(&self, weight: usize) -> bool {
        let together = self.weights.iter().sum::<usize>() + weight;
        self.weights.is_empty() || (self.weights.len() < self.most && together <= self.heaviest)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::SeqCst;

    use super::*;

    #[tokio::test]
    async fn light_ones_are_under_way_together_heavy_ones_alone_and_all_come_in_their_order() {
        let (under_way, heaviest) = (&AtomicUsize::new(0), &AtomicUsize::new(0));
        let weights = [1_usize, 2, 3, 20, 1, 1, 1, 1, 1, 9, 9];
        let all = weights.into_iter().zip(0..).map(|(weight, number)| -> (usize, BoxFuture<'_, i32>) {
            let future = async move {
                heaviest.fetch_max(under_way.fetch_add(weight, SeqCst) + weight, SeqCst);
                tokio::task::yield_now().await;
                under_way.fetch_sub(weight, SeqCst);
                number
            };
            (weight, Box::pin(future))
        });
        let (mut read_ahead, mut came) = (ReadAhead::of(all, 3, 10), Vec::new());
        while let Some(number) = read_ahead.next().await {
            came.push(number);
        }
        assert_eq!(came, (0..11).collect::<Vec<_>>());
        assert_eq!(heaviest.load(SeqCst), 20, "nothing else beside the heavy one");
    }
}
