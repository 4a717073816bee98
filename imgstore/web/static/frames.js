// Frames of one camera: the newest that is wanted wins, at most two are under way, what is ahead is fetched when
// nothing else is.

import { Trouble, askFrame } from "./asking.js";

const MOST_KEPT = 48e6; // bytes of frames
const MOST_UNDER_WAY = 2;
const SLOW = 100; // ms on their way, beyond which the samples of frames wait until the reader rests, and JPEG goes before
const LITTLE = 20e3; // bytes that come with the headers, and tell nothing of the way
const OLDER = 0.5; // what a frame counts for, beside the one after it, where the way is measured
const PREVIEW = 40; // ms on its way, beyond which half or a quarter of its size has to do for a JPEG

export class Frames {
  constructor(question) {
    this.question = question; // r, align, camera
    this.kept = new Map(); // index/kind -> frame; the oldest first
    this.bytes = 0;
    this.underWay = new Map(); // index/kind -> {kind, promise, stop}; the oldest first
    this.plan = null; // what is to be fetched ahead
    this.lately = { bytes: 0, took: 0 }; // of frames on their way, the older the less
    this.speed = 0; // bytes per ms
    this.whole = 0; // bytes of a frame's samples
    this.preview = 0; // bytes of a JPEG in full size, as lately seen
    this.levels = {};
    this.shown = null; // the frame that is seen: it may have to be drawn once more
    this.damaged = () => {}; // told of each step that cannot be read
  }

  // Before anything is known, too: a preview tells how fast the way is.
  get slow() {
    return !this.speed || this.whole / this.speed > SLOW;
  }

  get idle() {
    return this.underWay.size === 0;
  }

  forget() {
    this.kept.clear();
    this.bytes = 0;
  }

  find(index, exact) {
    return this.kept.get(`${index}/raw`) ?? (exact ? undefined : this.kept.get(`${index}/jpeg`));
  }

  kindOf(exact) {
    return exact || !this.slow ? "raw" : "jpeg";
  }

  // The frame at a step; null where a newer one has been asked for meanwhile.
  want(index, exact) {
    const kept = this.find(index, exact);
    if (kept) return Promise.resolve(kept);
    const kind = this.kindOf(exact);
    const running = this.underWay.get(`${index}/${kind}`);
    if (running) return running.promise;
    this.plan = null;
    // samples would keep a slow way from what is wanted now; of others the oldest goes on, so that something is seen on the way
    if (this.slow) for (const other of [...this.underWay.values()]) if (other.kind === "raw") other.stop();
    if (this.underWay.size >= MOST_UNDER_WAY) [...this.underWay.values()].at(-1).stop();
    return this.fetch(index, kind);
  }

  // Fetch frames, one after the other, as long as nothing else is wanted; resolves when they have come.
  async ahead(indices) {
    const mine = (this.plan = indices);
    for (const index of indices) {
      while (this.underWay.size >= MOST_UNDER_WAY) await Promise.race(Array.from(this.underWay.values(), (each) => each.promise));
      if (this.plan !== mine) return;
      const kind = this.kindOf(false);
      if (!this.find(index, false) && !this.underWay.has(`${index}/${kind}`)) this.fetch(index, kind);
    }
    await Promise.all(Array.from(this.underWay.values(), (each) => each.promise));
  }

  fetch(index, kind) {
    const key = `${index}/${kind}`;
    const control = new AbortController();
    const mine = { kind, stop: () => (control.abort(), over()) };
    const over = () => this.underWay.get(key) === mine && this.underWay.delete(key);
    this.underWay.set(key, mine);
    mine.promise = this.load(index, kind, control.signal).finally(over);
    return mine.promise;
  }

  // Largest width or height of a preview, so that it comes in time; undefined: its own.
  get most() {
    const takes = this.speed ? this.preview / this.speed : 0;
    const part = takes > 4 * PREVIEW ? 4 : takes > PREVIEW ? 2 : 1;
    return part > 1 ? Math.ceil(this.longest / part) : undefined;
  }

  async load(index, kind, signal) {
    const frame = { index, kind, label: null, samples: null, bitmap: null, error: null, absent: "", offline: false, bytes: 1000 };
    try {
      const small = kind === "jpeg" ? { ...this.levels, most: this.most } : {};
      const found = await askFrame({ ...this.question, index, kind, ...small }, signal);
      if (found.label?.index !== index) throw new Trouble("The server has sent another frame than was asked for.", 500);
      frame.label = found.label;
      this.measure(found, kind, small.most);
      if (kind === "raw") {
        frame.samples = samplesOf(found.data, found.label.dtype);
        frame.bytes = found.data.byteLength;
      } else {
        frame.bitmap = await createImageBitmap(new Blob([found.data], { type: found.type }));
        frame.bytes = frame.bitmap.width * frame.bitmap.height * 4;
      }
    } catch (error) {
      if (signal.aborted) return null;
      frame.label = error.label ?? null;
      frame.error = error.message;
      frame.absent = error.label?.absent ? "No frame at this instant" : "";
      frame.offline = error.status === 0;
      if (frame.offline) return frame; // not kept: it may be there when the server is
      if (!frame.absent) this.damaged(index);
    }
    this.keep(`${index}/${kind}`, frame);
    return frame;
  }

  measure({ label, data, took }, kind, most) {
    const [height, width, channels = 1] = label.shape;
    this.whole = height * width * channels * Number(label.dtype.slice(2));
    this.longest = Math.max(height, width);
    const bytes = data.byteLength;
    if (bytes > LITTLE) {
      // by time and not one by one: what a proxy has put by comes at once, and says little of the way
      this.lately = { bytes: this.lately.bytes * OLDER + bytes, took: this.lately.took * OLDER + took };
      this.speed = this.lately.bytes / this.lately.took;
    } else this.speed ||= Infinity; // until more than a little has come
    if (kind === "jpeg") this.preview = bytes * (most ? (this.longest / most) ** 2 : 1);
  }

  keep(key, frame) {
    this.leave(key); // one that came although it was given up, and has been fetched again
    this.kept.set(key, frame);
    this.bytes += frame.bytes;
    for (const old of this.kept.keys()) {
      if (this.bytes <= MOST_KEPT || old === key) break;
      this.leave(old);
    }
  }

  leave(key) {
    const frame = this.kept.get(key);
    if (!frame) return;
    this.kept.delete(key);
    this.bytes -= frame.bytes;
    if (frame !== this.shown) frame.bitmap?.close();
  }
}

const TYPES = {
  "|u1": Uint8Array, "|b1": Uint8Array, "|i1": Int8Array, "<u2": Uint16Array, "<i2": Int16Array, "<u4": Uint32Array, "<i4": Int32Array,
  "<f4": Float32Array, "<f8": Float64Array, "<u8": BigUint64Array, "<i8": BigInt64Array,
};

function samplesOf(data, dtype) {
  const type = TYPES[dtype];
  if (!type) throw new Trouble(`Samples of type ${dtype} cannot be shown here.`, 500);
  return new type(data);
}
