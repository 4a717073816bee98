// One camera's picture: a canvas of the frame's own size, so that a pixel of it is a pixel of the frame; zoomed by CSS.

const LEVELS = 4096;

export const PLAIN = { brightness: 0, contrast: 0, gamma: 0, map: "plain", low: null, high: null };

export class Picture {
  constructor(name, [height, width], told) {
    this.told = told; // called when something else is under the pointer
    this.pinned = null; // x and y of a pixel whose value is told while the pointer is elsewhere
    this.element = document.createElement("figure");
    this.element.className = "camera";
    this.window = document.createElement("div");
    this.window.className = "window";
    this.window.style.aspectRatio = `${width} / ${height}`;
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("role", "img");
    this.over = document.createElement("div");
    this.over.className = "over";
    this.over.hidden = true;
    this.caption = document.createElement("figcaption");
    this.said = {};
    for (const kind of ["name", "number", "date", "pixel", "how"]) {
      this.said[kind] = Object.assign(document.createElement("span"), { className: kind });
      this.caption.append(this.said[kind]);
    }
    this.window.append(this.canvas, this.over);
    this.element.append(this.window, this.caption);
    this.name = name;
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.frame = null;
    this.adjust = { ...PLAIN };
    this.zoom = 1; // 1: it fits
    this.middle = [0.5, 0.5]; // of the picture, in the middle of the window
    this.listen();
    new ResizeObserver(() => this.place()).observe(this.window);
  }

  show(frame) {
    this.frame = frame;
    const label = frame.label;
    this.over.hidden = !frame.error;
    if (frame.error) {
      const strong = document.createElement(frame.absent ? "span" : "strong");
      strong.textContent = frame.absent || "This frame cannot be shown";
      const text = document.createElement("p");
      text.textContent = frame.absent ? "" : frame.error;
      const box = document.createElement("div");
      box.append(strong, text);
      this.over.replaceChildren(box);
      this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    } else {
      this.draw();
    }
    const there = label && !frame.absent;
    const parts = {
      name: this.name, number: there ? `frame ${label.number}` : "", date: there ? label.date : "",
      how: frame.error ? (frame.absent ? "no frame" : "error") : frame.kind === "raw" ? "exact" : "preview",
    };
    for (const [kind, text] of Object.entries(parts)) this.said[kind].textContent = text;
    this.said.name.title = this.name;
    this.canvas.setAttribute("aria-label", Object.values(parts).filter(Boolean).join(", "));
    this.canvas.dataset.index = label?.index ?? "";
    this.canvas.dataset.number = frame.absent ? "" : (label?.number ?? "");
    this.canvas.dataset.kind = frame.error ? (frame.absent ? "absent" : "error") : frame.kind;
    this.point();
  }

  draw() {
    const { frame } = this;
    if (!frame || frame.error) return;
    const [height, width] = frame.label.shape;
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.place();
    }
    if (frame.samples) this.drawSamples(width, height);
    else this.drawBitmap(width, height);
  }

  drawSamples(width, height) {
    const { samples, label } = this.frame;
    if (!this.image || this.image.width !== width || this.image.height !== height) this.image = this.context.createImageData(width, height);
    const color = label.shape.length === 3 && label.shape[2] === 3;
    const bytes = samples instanceof Uint8Array;
    if (!bytes && this.adjust.low === null) this.fromFrame();
    const table = bytes && this.adjust.low === null ? tableOf(this.adjust, 256) : tableOf(this.adjust, LEVELS);
    const scaled = bytes && this.adjust.low === null ? null : scaling(this.adjust);
    const pixels = new Uint32Array(this.image.data.buffer);
    if (!color && !scaled) {
      for (let i = 0; i < pixels.length; i++) pixels[i] = table[samples[i]];
    } else if (!color) {
      for (let i = 0; i < pixels.length; i++) pixels[i] = table[scaled(samples[i])];
    } else {
      // of a table's entry the lowest byte is red: colours are mapped one by one
      const of = scaled ? (v) => table[scaled(v)] & 255 : (v) => table[v] & 255;
      for (let i = 0, k = 0; i < pixels.length; i++, k += 3) {
        pixels[i] = 0xff000000 | (of(samples[k]) << 16) | (of(samples[k + 1]) << 8) | of(samples[k + 2]);
      }
    }
    this.context.putImageData(this.image, 0, 0);
  }

  drawBitmap(width, height) {
    this.context.drawImage(this.frame.bitmap, 0, 0, width, height);
    const { brightness, contrast, gamma, map } = this.adjust;
    if (!brightness && !contrast && !gamma && map === "plain") return;
    const image = this.context.getImageData(0, 0, width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const table = tableOf(this.adjust, 256);
    for (let i = 0; i < pixels.length; i++) {
      const p = pixels[i];
      const gray = (p & 255) === ((p >> 8) & 255) && (p & 255) === ((p >> 16) & 255);
      pixels[i] = gray
        ? table[p & 255]
        : 0xff000000 | ((table[(p >> 16) & 255] & 255) << 16) | ((table[(p >> 8) & 255] & 255) << 8) | (table[p & 255] & 255);
    }
    this.context.putImageData(image, 0, 0);
  }

  // Levels from the lowest and the highest sample of this frame.
  fromFrame() {
    const { samples } = this.frame ?? {};
    if (!samples) return;
    let low = Infinity;
    let high = -Infinity;
    for (let i = 0; i < samples.length; i++) {
      const value = Number(samples[i]);
      if (value < low) low = value;
      if (value > high && value !== Infinity) high = value;
    }
    if (!(low < Infinity)) [low, high] = [0, 1];
    this.adjust.low = low;
    this.adjust.high = high > low ? high : low + 1;
  }

  // -- where it is ---------------------------------------------------------------------------------------------

  fitting() {
    const { clientWidth, clientHeight } = this.window;
    return Math.min(clientWidth / this.canvas.width, clientHeight / this.canvas.height) || 1;
  }

  place() {
    const scale = this.fitting() * this.zoom;
    const x = this.window.clientWidth / 2 - this.middle[0] * this.canvas.width * scale;
    const y = this.window.clientHeight / 2 - this.middle[1] * this.canvas.height * scale;
    this.canvas.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    this.canvas.classList.toggle("sharp", scale >= 1.5);
    this.window.classList.toggle("zoomed", this.zoom > 1);
    this.at = { scale, x, y };
  }

  zoomTo(zoom, around = null) {
    const before = this.at ?? { scale: 1, x: 0, y: 0 };
    this.zoom = Math.min(400 / this.fitting(), Math.max(1, zoom));
    if (this.zoom === 1) this.middle = [0.5, 0.5];
    else if (around) {
      const [px, py] = [(around[0] - before.x) / before.scale, (around[1] - before.y) / before.scale];
      const scale = this.fitting() * this.zoom;
      const { clientWidth, clientHeight } = this.window;
      this.middle = [(px - (around[0] - clientWidth / 2) / scale) / this.canvas.width, (py - (around[1] - clientHeight / 2) / scale) / this.canvas.height];
    }
    this.place();
  }

  listen() {
    let dragged = null;
    const here = (event) => {
      const box = this.window.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    this.window.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomTo(this.zoom * Math.exp(-event.deltaY / 300), here(event));
    }, { passive: false });
    this.window.addEventListener("dblclick", (event) => this.zoomTo(this.zoom > 1 ? 1 : 4, here(event)));
    this.window.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      this.pointer = dragged = here(event);
      this.point(); // a finger that taps does not move
      this.window.setPointerCapture(event.pointerId);
    });
    this.window.addEventListener("pointermove", (event) => {
      const now = here(event);
      if (dragged && this.zoom > 1 && this.at) {
        this.middle = [
          Math.min(1, Math.max(0, this.middle[0] - (now[0] - dragged[0]) / this.at.scale / this.canvas.width)),
          Math.min(1, Math.max(0, this.middle[1] - (now[1] - dragged[1]) / this.at.scale / this.canvas.height)),
        ];
        dragged = now;
        this.place();
      }
      this.pointer = now;
      this.point();
    });
    this.window.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "touch") return; // what was tapped is told until the next tap
      this.pointer = null;
      this.point();
    });
    this.window.addEventListener("pointerup", () => (dragged = null));
    this.window.addEventListener("pointercancel", () => (dragged = null));
  }

  // Tell what is under the pointer: the samples of the frame itself, whatever is done to the picture.
  point() {
    const { said, pinned, pointer } = this;
    const before = said.pixel.textContent;
    said.pixel.textContent = pointer && this.at ? this.under(...pointer) : pinned ? this.value(...pinned) : "";
    if (pointer || said.pixel.textContent !== before) this.told();
  }

  under(left, top) {
    return this.value(Math.floor((left - this.at.x) / this.at.scale), Math.floor((top - this.at.y) / this.at.scale));
  }

  value(x, y) {
    const { frame } = this;
    if (!frame || frame.error || x < 0 || y < 0 || x >= this.canvas.width || y >= this.canvas.height) return "";
    if (!frame.samples) return `x ${x}, y ${y}: …`;
    const [, width, channels = 1] = frame.label.shape;
    const at = (y * width + x) * channels;
    const values = Array.from(frame.samples.subarray(at, at + channels), String);
    return `x ${x}, y ${y}: ${channels === 3 ? `B ${values[0]}, G ${values[1]}, R ${values[2]}` : values[0]}`;
  }
}

function scaling({ low, high }) {
  const factor = (LEVELS - 1) / (high - low || 1);
  return (value) => {
    const scaled = (Number(value) - low) * factor;
    return scaled > 0 ? (scaled < LEVELS - 1 ? scaled | 0 : LEVELS - 1) : 0; // NaN is black
  };
}

// From a level to a pixel, as canvases have them: 0xAABBGGRR.
function tableOf({ brightness, contrast, gamma, map }, length) {
  const table = new Uint32Array(length);
  const slope = contrast < 0 ? 1 + contrast : 1 / Math.max(0.01, 1 - contrast);
  const power = Math.exp(-gamma);
  for (let i = 0; i < length; i++) {
    let v = i / (length - 1);
    if (brightness || contrast) v = Math.min(1, Math.max(0, (v - 0.5) * slope + 0.5 + brightness));
    if (gamma) v **= power;
    if (map === "invert") v = 1 - v;
    const [r, g, b] = map === "heat" ? heat(v) : map === "rainbow" ? rainbow(v) : [v, v, v];
    table[i] = 0xff000000 | (Math.round(b * 255) << 16) | (Math.round(g * 255) << 8) | Math.round(r * 255);
  }
  return table;
}

function heat(v) {
  return [Math.min(1, v * 3), Math.min(1, Math.max(0, v * 3 - 1)), Math.min(1, Math.max(0, v * 3 - 2))];
}

function rainbow(v) {
  const part = (shift) => Math.min(1, Math.max(0, 1.5 - Math.abs(4 * v - shift)));
  return [part(3), part(2), part(1)];
}
