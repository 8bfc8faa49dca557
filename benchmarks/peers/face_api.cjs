// Emotions of faces by @vladmandic/face-api: `node face_api.cjs MODULES FACES SIDE`.
//
// MODULES is the node_modules folder with the package, @tensorflow/tfjs and @tensorflow/tfjs-backend-wasm; FACES a file
// of gray faces, one byte per pixel, SIDE x SIDE each. Prints a line of JSON: {version, labels, scores: [[...], ...]}.
// The package's own code resizes a face to 112x112, subtracts its mean color and divides by 255.
const fs = require("fs");
const path = require("path");

const [modules, faces, sideText] = process.argv.slice(2);
const load = (name) => require(path.resolve(modules, name));
const BATCH = 32;

async function main() {
  const tf = load("@tensorflow/tfjs");
  const wasm = load("@tensorflow/tfjs-backend-wasm");
  wasm.setWasmPaths(path.resolve(modules, "@tensorflow/tfjs-backend-wasm/dist") + path.sep);
  await tf.setBackend("wasm");
  await tf.ready();
  const root = path.resolve(modules, "@vladmandic/face-api");
  const faceapi = load("@vladmandic/face-api/dist/face-api.node-wasm.js");
  const net = faceapi.nets.faceExpressionNet;
  await net.loadFromDisk(path.join(root, "model"));
  const side = Number(sideText);
  const pixels = fs.readFileSync(faces);
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
    const found = await net.predictExpressions(inputs);
    for (const expressions of Array.isArray(found) ? found : [found]) {
      labels = Object.keys(expressions);
      scores.push(labels.map((label) => expressions[label]));
    }
    inputs.forEach((tensor) => tensor.dispose());
  }
  const version = JSON.parse(fs.readFileSync(path.join(root, "package.json"))).version;
  process.stdout.write(JSON.stringify({ version, labels, scores }) + "\n");
}

main().catch((error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});
