// Emotions of faces by @vladmandic/face-api: `node face_api.cjs MODULES SIDE`.
//
// MODULES is the node_modules folder with the package, @tensorflow/tfjs and @tensorflow/tfjs-backend-wasm. A request on
// stdin is the number of faces (4 bytes, little-endian) and gray faces, one byte per pixel, SIDE x SIDE each; the answer
// a line of JSON: {labels, scores: [[...], ...]}. The process ends with stdin.
// The package's own code resizes a face to 112x112, subtracts its mean color and divides by 255.
const path = require("path");

const [modules, sideText] = process.argv.slice(2);
const load = (name) => require(path.resolve(modules, name));
const BATCH = 32;
const side = Number(sideText);

async function open() {
  const tf = load("@tensorflow/tfjs");
  const wasm = load("@tensorflow/tfjs-backend-wasm");
  wasm.setWasmPaths(path.resolve(modules, "@tensorflow/tfjs-backend-wasm/dist") + path.sep);
  await tf.setBackend("wasm");
  await tf.ready();
  const faceapi = load("@vladmandic/face-api/dist/face-api.node-wasm.js");
  await faceapi.nets.faceExpressionNet.loadFromDisk(path.resolve(modules, "@vladmandic/face-api/model"));
  return faceapi;
}

async function answer(faceapi, pixels) {
  const count = pixels.length / (side * side);
  const scores = [];
  let labels = [];
  for (let start = 0; start < count; start += BATCH) {
    const inputs = [];
    for (let face = start; face < Math.min(start + BATCH, count); face++) {
      const gray = pixels.subarray(face * side * side, (face + 1) * side * side);
      const rgb = new Int32Array(3 * gray.length);
      gray.forEach((level, index) => rgb.fill(level, 3 * index, 3 * index + 3));
      inputs.push(faceapi.tf.tensor3d(rgb, [side, side, 3], "int32"));
    }
    const found = await faceapi.nets.faceExpressionNet.predictExpressions(inputs);
    for (const expressions of Array.isArray(found) ? found : [found]) {
      labels = Object.keys(expressions);
      scores.push(labels.map((label) => expressions[label]));
    }
    inputs.forEach((tensor) => tensor.dispose());
  }
  process.stdout.write(JSON.stringify({ labels, scores }) + "\n");
}

async function main() {
  const faceapi = await open();
  let waiting = Buffer.alloc(0);
  for await (const chunk of process.stdin) {
    waiting = waiting.length ? Buffer.concat([waiting, chunk]) : chunk;
    while (waiting.length >= 4 && waiting.length >= 4 + waiting.readUInt32LE(0) * side * side) {
      const end = 4 + waiting.readUInt32LE(0) * side * side;
      await answer(faceapi, waiting.subarray(4, end));
      waiting = waiting.subarray(end);
    }
  }
}

main().catch((error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});
