// Draws a picture with the boxes and labels of its result.

import { percent } from "./words.js";

/** @import {Face, Result} from "./state.js" */
/** @import {Palette} from "./palette.js" */

const TEXT_PX = 14; // CSS pixels
const FEW_FACES = 4; // up to this many labels have room for every word
const LEAST_PX = 72; // room of a label of one of many faces
const DARK = "#00000099";

/** The label of a face in words: "happy 87 %", or "unsure (happy 31 %)".
 * @param {Face} face */
export function faceWords(face) {
  const label = `${face.emotion} ${percent(face.confidence)}`;
  return face.unsure ? `unsure (${label})` : label;
}

/**
 * @param {CanvasRenderingContext2D} ctx its canvas has the picture's proportions
 * @param {ImageBitmap} picture
 * @param {Result} result
 * @param {number} sourceWidth of the picture that boxes refer to, in its pixels
 * @param {Palette} palette
 * @param {number} dpr canvas pixels per CSS pixel
 */
export function paint(ctx, picture, result, sourceWidth, palette, dpr) {
  const { width, height } = ctx.canvas;
  ctx.imageSmoothingQuality = "medium";
  ctx.drawImage(picture, 0, 0, width, height);
  const scale = width / sourceWidth;
  const boxes = result.faces.map((face) => face.box.map((value) => value * scale));
  result.faces.forEach((face, index) => drawBox(ctx, face, boxes[index], palette, dpr));
  /** @type {number[][]} */
  const taken = [];
  result.faces.forEach((face, index) => drawTag(ctx, face, boxes[index], result.faces.length, taken, palette, dpr));
}

/** @param {CanvasRenderingContext2D} ctx @param {Face} face @param {number[]} box @param {Palette} palette
 * @param {number} dpr */
function drawBox(ctx, face, [x, y, width, height], palette, dpr) {
  ctx.beginPath();
  ctx.roundRect(x, y, width, height, 6 * dpr);
  ctx.strokeStyle = DARK; // visible on any picture
  ctx.lineWidth = 5 * dpr;
  ctx.stroke();
  ctx.strokeStyle = face.unsure ? "#ffffff" : palette.color(face.emotion);
  ctx.lineWidth = 2.5 * dpr;
  ctx.setLineDash(face.unsure ? [6 * dpr, 5 * dpr] : []);
  ctx.stroke();
  ctx.setLineDash([]);
}

/** @param {CanvasRenderingContext2D} ctx @param {Face} face @param {number[]} box @param {number} count of faces
 * @param {number[][]} taken where tags are already @param {Palette} palette @param {number} dpr */
function drawTag(ctx, face, box, count, taken, palette, dpr) {
  const label = face.unsure ? "unsure" : face.emotion;
  ctx.font = `600 ${TEXT_PX * dpr}px system-ui, sans-serif`;
  ctx.textAlign = "left";
  ctx.textBaseline = "middle";
  const pad = 6 * dpr;
  const words = fitting(ctx, face, label, count, box[2], palette, dpr);
  const width = ctx.measureText(words).width + 2 * pad;
  const height = (TEXT_PX + 8) * dpr;
  const [x, y] = freePlace(box, width, height, ctx.canvas, taken, dpr);
  taken.push([x, y, width, height]);
  ctx.beginPath();
  ctx.roundRect(x, y, width, height, 4 * dpr);
  ctx.fillStyle = palette.color(label);
  ctx.fill();
  ctx.strokeStyle = DARK;
  ctx.lineWidth = dpr;
  ctx.stroke();
  ctx.fillStyle = palette.ink(label);
  ctx.fillText(words, x + pad, y + height / 2 + dpr * 0.5);
}

/** The most words that have room: all of them for few faces, else as wide as the face.
 * @param {CanvasRenderingContext2D} ctx @param {Face} face @param {string} label @param {number} count
 * @param {number} faceWidth @param {Palette} palette @param {number} dpr */
function fitting(ctx, face, label, count, faceWidth, palette, dpr) {
  const number = count > 1 && face.id !== null ? `#${face.id} ` : "";
  const room = count > FEW_FACES ? Math.max(1.2 * faceWidth, LEAST_PX * dpr) : Math.max(1.6 * faceWidth, 0.6 * ctx.canvas.width);
  const choices = [faceWords(face), label, palette.letters(label)].map((words) => number + words);
  return choices.find((words) => ctx.measureText(words).width <= room) ?? choices[2];
}

/** Above the face, below it or inside it: the first place within the picture that no other tag has.
 * @param {number[]} box @param {number} width @param {number} height @param {HTMLCanvasElement} canvas
 * @param {number[][]} taken @param {number} dpr */
function freePlace([left, top, boxWidth, boxHeight], width, height, canvas, taken, dpr) {
  const x = Math.max(0, Math.min(left + (boxWidth < width ? (boxWidth - width) / 2 : 0), canvas.width - width));
  const gap = 4 * dpr;
  const rows = [top - height - gap, top + boxHeight + gap, top + gap, top + boxHeight - height - gap];
  const inside = rows.filter((y) => y >= 0 && y + height <= canvas.height);
  const free = inside.find((y) => !taken.some((other) => overlap([x, y, width, height], other)));
  return [x, free ?? inside[0] ?? 0];
}

/** @param {number[]} one @param {number[]} other */
function overlap(one, other) {
  return (
    one[0] < other[0] + other[2] &&
    other[0] < one[0] + one[2] &&
    one[1] < other[1] + other[3] &&
    other[1] < one[1] + one[3]
  );
}
