// Frames of one camera: the newest that is wanted wins, at most two are under way, what is ahead is fetched when nothing else is.

import { Trouble, askFrame } from "./asking.js";

const MOST_KEPT = 48e6; // bytes of frames
const MOST_UNDER_WAY = 2;
const SLOW = 45; // ms: frames that take longer come as JPEG while the reader moves

export class Frames {
  constructor(question) {
    this.question = question; // r, align, camera
    this.kept = new Map(); // index/kind -> frame; the oldest first
    this.bytes = 0;
    this.underWay = new Map(); // index/kind -> promise
    this.waiting = null; // the newest that found no place
    this.cost = 0; // ms that a whole frame takes, as lately measured
    this.levels = {};
  }

  get slow() {
    return this.cost > SLOW;
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

  // The frame at a step; null where a newer one has been asked for meanwhile.
  want(index, exact) {
    const kept = this.find(index, exact);
    if (kept) return Promise.resolve(kept);
    const kind = exact || !this.slow ? "raw" : "jpeg";
    const running = this.underWay.get(`${index}/${kind}`);
    if (running) return running;
    this.waiting?.resolve(null);
    this.waiting = null;
    if (this.underWay.size < MOST_UNDER_WAY) return this.fetch(index, kind);
    return new Promise((resolve) => {
      this.waiting = { index, kind, resolve };
    });
  }

  ahead(indices, exact = false) {
    for (const index of indices) {
      const kind = exact || !this.slow ? "raw" : "jpeg";
      if (this.waiting || this.underWay.size >= MOST_UNDER_WAY) return;
      if (!this.find(index, exact) && !this.underWay.has(`${index}/${kind}`)) this.fetch(index, kind);
    }
  }

  fetch(index, kind) {
    const key = `${index}/${kind}`;
    const promise = this.load(index, kind).finally(() => {
      this.underWay.delete(key);
      const next = this.waiting;
      this.waiting = null;
      if (next) this.want(next.index, next.kind === "raw").then(next.resolve);
    });
    this.underWay.set(key, promise);
    return promise;
  }

  async load(index, kind) {
    const began = performance.now();
    const frame = { index, kind, label: null, samples: null, bitmap: null, error: null, absent: false, bytes: 1000 };
    try {
      const found = await askFrame({ ...this.question, index, kind, ...(kind === "jpeg" ? this.levels : {}) });
      if (found.label?.index !== index) throw new Trouble("The server has sent another frame than was asked for.", 500);
      frame.label = found.label;
      frame.bytes = found.data.byteLength;
      if (kind === "raw") frame.samples = samplesOf(found.data, found.label.dtype);
      else frame.bitmap = await createImageBitmap(new Blob([found.data], { type: found.type }));
      if (kind === "raw") {
        const took = performance.now() - began;
        this.cost = this.cost ? this.cost * 0.7 + took * 0.3 : Math.min(took, SLOW);
      }
    } catch (error) {
      frame.label = error.label ?? null;
      frame.error = error.message;
      frame.absent = Boolean(error.label?.absent);
      if (error.status === 0) return frame; // not kept: it may be there when the server is
    }
    this.keep(`${index}/${kind}`, frame);
    return frame;
  }

  keep(key, frame) {
    this.kept.delete(key);
    this.kept.set(key, frame);
    this.bytes += frame.bytes;
    for (const [old, other] of this.kept) {
      if (this.bytes <= MOST_KEPT || old === key) break;
      this.kept.delete(old);
      this.bytes -= other.bytes;
      other.bitmap?.close();
    }
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
