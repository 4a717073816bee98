// The film strip: small pictures over the zoomed part, made one after the other when nothing else is wanted.

import { ask, askFrame } from "./asking.js";

const WIDTH = 96; // pixels that a picture gets about

export class Strip {
  constructor(element, question, { go, idle, damaged }) {
    Object.assign(this, { element, question, go, idle, damaged });
    this.kept = new Map(); // step -> address of a picture
    this.run = 0;
    new ResizeObserver(() => this.show(this.span)).observe(element);
  }

  show(span, said = (step) => `frame at position ${step}`) {
    if (!span) return;
    this.span = span;
    this.said = said;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.fill().catch(() => {}), 250); // the time line tells of a server that is away
  }

  async fill() {
    const mine = ++this.run;
    const [start, stop] = this.span;
    const count = Math.max(1, Math.min(stop - start, Math.round(this.element.clientWidth / WIDTH)));
    const { steps } = await ask("pictures", { ...this.question, start, stop, buckets: count });
    if (mine !== this.run) return;
    const buttons = steps.map((step) => {
      const button = document.createElement("button");
      button.type = "button";
      button.tabIndex = -1; // the time lines are the way by keyboard
      button.setAttribute("aria-label", this.said(step));
      button.addEventListener("click", () => this.go(step));
      if (this.kept.has(step)) this.picture(button, this.kept.get(step));
      return button;
    });
    this.element.replaceChildren(...buttons);
    for (const [k, step] of steps.entries()) {
      if (this.kept.has(step)) continue;
      while (mine === this.run && !this.idle()) await new Promise((resolve) => setTimeout(resolve, 80));
      if (mine !== this.run) return;
      let made;
      try {
        const found = await askFrame({ ...this.question, camera: 0, index: step, kind: "jpeg", most: 192 });
        made = URL.createObjectURL(new Blob([found.data], { type: found.type }));
      } catch (error) {
        if (!error.status) return; // the server is away
        made = "";
        this.damaged(step);
      }
      this.kept.set(step, made);
      this.picture(buttons[k], made);
      if (this.kept.size > 300) {
        const [oldest, address] = this.kept.entries().next().value;
        this.kept.delete(oldest);
        if (address) URL.revokeObjectURL(address);
      }
    }
  }

  picture(button, made) {
    button.classList.toggle("bad", !made); // the time line and the picture tell what is wrong
    if (!made) return;
    const image = document.createElement("img");
    image.alt = "";
    image.src = made;
    button.replaceChildren(image);
  }
}
