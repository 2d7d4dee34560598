//! What people, phones and servers do, and the end of all trouble.

use hookswitch::{
    machine::{Choice, Command as Ask, CommandId, Event},
    wire::{CallId, ForwardTo, Surface},
};
use hookswitch_backend::{Command, Said};

use super::{DEAF, Happening, SOON, World, words::describe};
use crate::simulation::{
    Broken,
    phone::{Asked, SimulatedPhone},
    plan::{Act, number},
    server::{Reader, choose, forward},
};

impl World<'_> {
    fn ask(&mut self, index: usize, ask: Ask, choice: Option<Choice>) -> Result<(), Broken> {
        let Some(phone) = self.phones.get_mut(index).filter(|phone| phone.running) else { return Ok(()) };
        let id = CommandId(phone.next_command);
        phone.next_command += 1;
        if let Some(choice) = choice {
            self.tally.commands += 1;
            phone.taps(choice, id);
        }
        if let Ask::Answer { call_id } | Ask::Decline { call_id } | Ask::HangUp { call_id } = &ask {
            let is_answer = matches!(ask, Ask::Answer { .. });
            let asked = Asked { call_id: call_id.clone(), is_answer, life: phone.life, reply: None };
            phone.asked.insert(id, asked);
            if is_answer {
                phone.answered.insert(call_id.clone(), phone.life);
                self.tally.answers += 1;
            }
        }
        let to = (index, phone.life);
        self.step(to, Event::Command { id, command: ask })
    }

    fn tells(&mut self, index: usize, event: Event) -> Result<(), Broken> {
        let Some(life) = self.phones.get(index).filter(|phone| phone.running).map(|phone| phone.life) else {
            return Ok(());
        };
        self.step((index, life), event)
    }

    fn browser_does(&mut self, command: Command) {
        self.next_key += 1;
        let key = format!("browser-{}", self.next_key);
        let (current, pushes) = self.server.current(self.now);
        self.announce(pushes);
        let (said, pushes) = self.server.command(&key, Some(current.version), command, self.now);
        self.tell(|| match &said {
            Said::State { snapshot, .. } => format!("  server: now {}, {}", snapshot.version, describe(snapshot)),
            Said::Stale(_) | Said::KeyReused | Said::Refused(_) | Said::Broken(_) => format!("  server: {said:?}"),
        });
        self.announce(pushes);
    }

    pub(super) fn act(&mut self, act: &Act) -> Result<(), Broken> {
        self.tell(|| format!("* {act:?}"));
        match *act {
            Act::Choose { phone, availability } => {
                let choice = Choice::Availability { availability };
                self.ask(phone, Ask::SetAvailability { availability }, Some(choice))
            }
            Act::Forward { phone, on } => {
                let to = number().filter(|_| on).map(|number| ForwardTo { number, until: None });
                self.ask(phone, Ask::SetForwarding { to: to.clone() }, Some(Choice::Forwarding { to }))
            }
            Act::BrowserChooses { availability } => {
                self.browser_does(choose(availability, Surface::Desktop));
                Ok(())
            }
            Act::BrowserForwards { on } => {
                self.browser_does(forward(number().filter(|_| on)));
                Ok(())
            }
            Act::Call => {
                let call_id = CallId(format!("call-{}", self.calls.len() + 1));
                self.calls.push(call_id.clone());
                self.tally.calls += 1;
                self.browser_does(Command::Incoming { call_id, from: None, from_name: None });
                Ok(())
            }
            Act::CustomerHangsUp => {
                if let Some(call_id) = self.calls.last().cloned() {
                    self.browser_does(Command::HangUp { call_id, by: None });
                }
                Ok(())
            }
            Act::PickUp { phone: index } => {
                let now = self.now;
                let ringing = self
                    .phones
                    .get(index)
                    .and_then(|phone| phone.state.view(phone.now(now)).calls.ringing.into_iter().next());
                ringing.map_or(Ok(()), |call| self.ask(index, Ask::Answer { call_id: call.call_id }, None))
            }
            Act::HangUp { phone: index } => {
                let now = self.now;
                let in_call = self.phones.get(index).and_then(|phone| phone.state.view(phone.now(now)).calls.in_call);
                in_call.map_or(Ok(()), |call| self.ask(index, Ask::HangUp { call_id: call.call_id }, None))
            }
            Act::Background { phone } => self.lifecycle(phone, false),
            Act::Foreground { phone } => self.lifecycle(phone, true),
            Act::NetworkDown { phone } => self.network(phone, false),
            Act::NetworkUp { phone } => self.network(phone, true),
            Act::Partition { phone } => {
                self.change(phone, |phone| phone.partitioned = true);
                Ok(())
            }
            Act::Heal { phone } => {
                self.change(phone, |phone| phone.partitioned = false);
                Ok(())
            }
            Act::Buffering { phone, on } => {
                self.change(phone, |phone| phone.buffering = on);
                Ok(())
            }
            Act::Slow { phone, by } => {
                self.change(phone, |phone| phone.slow = by);
                Ok(())
            }
            Act::Sleep { phone, millis } => {
                let until = self.now + millis;
                self.change(phone, |phone| {
                    phone.asleep_until = until;
                    phone.excused_until = phone.excused_until.max(until + SOON);
                });
                Ok(())
            }
            Act::Kill { phone } => {
                self.kills(phone);
                Ok(())
            }
            Act::KillAfter { phone, steps } => {
                self.change(phone, |phone| phone.dies_after = Some(steps));
                Ok(())
            }
            Act::HalfOpen { phone: index } => {
                for stream in self.server.streams.values_mut() {
                    stream.dead |= matches!(stream.reader, Reader::Phone { phone, .. } if phone == index);
                }
                self.server.waiting.retain(|_, waiting| waiting.phone != index);
                let now = self.now;
                self.change(index, |phone| {
                    phone.half_open = true;
                    phone.excused_until = phone.excused_until.max(now + DEAF);
                    phone.open.values_mut().for_each(|cut_off| *cut_off = true);
                });
                Ok(())
            }
            Act::NetworkLies { phone } => self.tells(phone, Event::NetworkDown),
            Act::KeyFails { phone, how } => {
                self.change(phone, |phone| phone.key_fault = Some(how));
                Ok(())
            }
            Act::DesktopAnswers => {
                if let Some(call_id) = self.calls.last().cloned() {
                    self.browser_does(Command::Answer { call_id, by: Surface::Desktop });
                }
                Ok(())
            }
            Act::Decline { phone: index } => {
                let now = self.now;
                let ringing = self
                    .phones
                    .get(index)
                    .and_then(|phone| phone.state.view(phone.now(now)).calls.ringing.into_iter().next());
                ringing.map_or(Ok(()), |call| self.ask(index, Ask::Decline { call_id: call.call_id }, None))
            }
            Act::Repair { phone } => self.ask(phone, Ask::Repair, None),
            Act::SetClock { phone, skew } => {
                self.change(phone, |phone| phone.skew = skew);
                Ok(())
            }
            Act::ServerRestarts => {
                self.break_all_streams();
                Ok(())
            }
            Act::Backup => {
                self.server.back_up();
                Ok(())
            }
            Act::Restore => {
                self.break_all_streams();
                let pushes = self.server.restore(self.now);
                self.announce(pushes);
                Ok(())
            }
            Act::TokensExpire => {
                self.server.tokens_expire();
                Ok(())
            }
            Act::OldServer { on } => {
                self.server.model.set_old_server(on);
                Ok(())
            }
        }
    }

    pub(super) fn kills(&mut self, index: usize) {
        self.tell(|| format!("phone-{}: dies", index + 1));
        self.tally.deaths += 1;
        self.change(index, SimulatedPhone::dies);
        self.server.streams.retain(|_, stream| !matches!(stream.reader, Reader::Phone { phone, .. } if phone == index));
        let wait = self.phones_luck(index).u64(100..3_000);
        self.at(self.now + wait, Happening::Starts(index));
    }

    fn change(&mut self, index: usize, change: impl FnOnce(&mut SimulatedPhone)) {
        if let Some(phone) = self.phones.get_mut(index) {
            change(phone);
        }
    }

    pub(in crate::simulation) fn lifecycle(&mut self, index: usize, foreground: bool) -> Result<(), Broken> {
        self.change(index, |phone| phone.foreground = foreground);
        self.tells(index, if foreground { Event::Foreground } else { Event::Background })
    }

    fn network(&mut self, index: usize, up: bool) -> Result<(), Broken> {
        let now = self.now;
        self.change(index, |phone| {
            phone.network = up;
            phone.excused_until = phone.excused_until.max(now + SOON);
        });
        self.tells(index, if up { Event::NetworkUp } else { Event::NetworkDown })
    }

    /// From now on the network is good, and everybody looks at their phone.
    pub(super) fn heals(&mut self) -> Result<(), Broken> {
        self.tell(|| "* the network heals, all phones are in front".to_owned());
        self.healed = true;
        let now = self.now;
        for index in 0..self.phones.len() {
            let down = self.phones.get(index).is_some_and(|phone| !phone.network);
            let away = self.phones.get(index).is_some_and(|phone| !phone.foreground);
            self.change(index, |phone| {
                // A proxy that holds streams back stays.
                (phone.partitioned, phone.slow, phone.asleep_until) = (false, 0, 0);
                (phone.network, phone.foreground) = (true, true);
                (phone.half_open, phone.dies_after, phone.key_fault) = (false, None, None);
                phone.excused_until = phone.excused_until.max(now + DEAF);
            });
            if down {
                self.tells(index, Event::NetworkUp)?;
            }
            if away {
                self.tells(index, Event::Foreground)?;
            }
        }
        Ok(())
    }
}
