// Playing: which frame is due. In real time some are left out where there are too many; or every one is shown, however long it takes.

export const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64];

const SHOWN = 30; // frames per second that are shown at most in real time
const LONGEST_PAUSE = 2000; // ms: gaps of hours are not sat through
const AHEAD = 4;

export class Player {
  // show(step) resolves to the seconds of the frame that is shown since the start, null where unknown, undefined where another
  // frame is wanted by now; ahead(steps) fetches; ended() is told that there is nothing more.
  constructor({ show, ahead, ended, at, count, fps }) {
    Object.assign(this, { show, ahead, ended, at, count, fps });
    this.speed = 1;
    this.direction = 1;
    this.every = false;
    this.run = 0; // which playing this is: those before it have ended
  }

  get playing() {
    return this.run > 0 && !this.stopped;
  }

  stop() {
    this.stopped = true;
    this.run++;
  }

  async play() {
    const mine = ++this.run;
    this.stopped = false;
    let due = performance.now();
    let since = await this.show(this.at());
    while (mine === this.run && !this.stopped) {
      const rate = (this.fps() || 25) * this.speed;
      let step = this.every ? 1 : Math.max(1, Math.round(rate / SHOWN));
      const late = performance.now() - due;
      if (!this.every && late > 1000 / rate) step = Math.max(step, Math.round((late / 1000) * rate));
      const next = Math.min(this.count() - 1, Math.max(0, this.at() + step * this.direction));
      if (next === this.at()) {
        this.stop();
        this.ended();
        return;
      }
      this.ahead(Array.from({ length: AHEAD }, (_, k) => next + k * step * this.direction).filter((n) => n >= 0 && n < this.count()));
      const frames = Math.abs(next - this.at());
      const usual = (frames / rate) * 1000;
      // by the recording's own times where the frame is here already, which it is when there was time to fetch it
      const known = this.secondsOf?.(next);
      const own = since !== null && known !== null && known !== undefined ? (Math.abs(known - since) / this.speed) * 1000 : usual;
      due += Math.min(Number.isFinite(own) && own > 0 ? own : usual, Math.max(LONGEST_PAUSE, usual));
      const wait = due - performance.now();
      if (wait > 2) await new Promise((resolve) => setTimeout(resolve, wait));
      else await new Promise((resolve) => requestAnimationFrame(resolve));
      if (mine !== this.run) return;
      const shown = await this.show(next);
      if (shown === undefined) return;
      since = shown;
      if (this.every || performance.now() - due > LONGEST_PAUSE) due = Math.max(due, performance.now() - 1000 / rate);
    }
  }
}
