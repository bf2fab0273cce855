"""How does the status page look? (the report's family; light and dark, from 320 px up)"""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root{color-scheme:light dark;--paper:#f6f7f9;--card:#fff;--ink:#1b1f27;--dim:#5b6472;
--line:#dfe3ea;--grid:#e9ecf1;--works:#00794f;--failing:#b3261e;--slow:#8a5a00;--unknown:#5b6472;
--works-wash:#e6f4ee;--failing-wash:#fbeae9;--slow-wash:#fdf3df;--unknown-wash:#eef0f4;
--blue:#0072b2;--blue-wash:#0072b21c;--mark:#fff}
@media(prefers-color-scheme:dark){:root{--paper:#12151a;--card:#1b1f26;--ink:#e8ebf0;--dim:#a2abb8;
--line:#303642;--grid:#2b313c;--works:#4cc38a;--failing:#ff8a80;--slow:#f0b64d;--unknown:#a2abb8;
--works-wash:#16291f;--failing-wash:#331b1a;--slow-wash:#30260f;--unknown-wash:#232831;
--blue:#4aa8e0;--blue-wash:#4aa8e026;--mark:#12151a}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,
"Segoe UI",Roboto,"Noto Sans",sans-serif;overflow-wrap:anywhere}
.page{max-width:1180px;margin:0 auto;padding:28px 20px 40px}
h1,h2,h3,p,ul,dl,dd{margin:0;padding:0}
ul{list-style:none}
h2{font-size:17px;margin:34px 0 12px;letter-spacing:-.005em}
a{color:inherit}
.eyebrow{display:flex;flex-wrap:wrap;gap:2px 14px;justify-content:space-between;color:var(--dim);
font-size:13px;margin-bottom:10px}
.eyebrow b{color:var(--ink);font-weight:600}
#lost{color:var(--failing);font-weight:600}
.works{--tone:var(--works);--wash:var(--works-wash)}
.slow{--tone:var(--slow);--wash:var(--slow-wash)}
.failing{--tone:var(--failing);--wash:var(--failing-wash)}
.unknown{--tone:var(--unknown);--wash:var(--unknown-wash)}
.verdict{display:grid;grid-template-columns:auto 1fr;gap:0 14px;align-items:start;
background:var(--wash);border:1px solid var(--line);border-left:6px solid var(--tone);
border-radius:10px;padding:18px 22px}
.verdict .icon{width:26px;height:26px;margin-top:3px}
h1{font-size:25px;line-height:1.28;color:var(--tone);letter-spacing:-.015em}
.more{grid-column:2;margin-top:6px}
.more:empty{display:none}
.icon{flex:none;display:block}.icon .f{fill:var(--tone)}
.icon .m{fill:none;stroke:var(--mark);stroke-width:1.9;stroke-linecap:round;stroke-linejoin:round}
.icon .r{fill:none;stroke:var(--tone);stroke-width:2;stroke-dasharray:4 2.6}
.tiles{display:grid;grid-template-columns:repeat(4,1fr);gap:12px;margin-top:14px}
.tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 16px;
min-width:0}
.tile dt{color:var(--dim);font-size:13px}
.tile dd{font-size:22px;font-weight:600;letter-spacing:-.015em;line-height:1.3;
font-variant-numeric:tabular-nums}
.tile dd.s{font-size:13px;font-weight:400;letter-spacing:0;color:var(--dim);line-height:1.5}
.rows{background:var(--card);border:1px solid var(--line);border-radius:10px;overflow:hidden;
font-variant-numeric:tabular-nums}
.row{display:grid;grid-template-columns:minmax(0,1fr) 96px 190px 216px;gap:4px 24px;
padding:14px 18px;align-items:center;border-top:1px solid var(--line);
box-shadow:inset 4px 0 0 transparent}
.row:first-child{border-top:0}
.row.failing,.row.slow{background:var(--wash);box-shadow:inset 4px 0 0 var(--tone)}
.name{display:flex;flex-wrap:wrap;align-items:center;gap:2px 9px}
h3{font-size:15.5px;font-weight:600}
.kind{color:var(--dim);font-size:13px}
.state{color:var(--tone);font-weight:600}
.what{padding-left:25px}
.what p{font-size:13.5px;color:var(--dim)}
.what .why{color:var(--ink);font-size:14.5px}
.figure{min-width:0}
.figure small,.now small{display:block;
color:var(--dim);font-size:12px;line-height:1.4;margin-top:3px}
.now{text-align:right}
.now b{font-size:17px;font-weight:600;letter-spacing:-.01em;white-space:nowrap}
.none{color:var(--dim);font-size:12.5px}
.line,.strip{display:block;width:100%;height:30px}
.line .l{fill:none;stroke:var(--blue);stroke-width:1.7;vector-effect:non-scaling-stroke;
stroke-linejoin:round;stroke-linecap:round}
.line .a{fill:var(--blue-wash)}.line .x{stroke:var(--line);vector-effect:non-scaling-stroke}
.strip rect{fill:var(--tone)}.strip rect.none{fill:var(--line)}
.strip rect.works{fill:var(--works);fill-opacity:.75}
details{grid-column:1/-1;padding-left:25px;font-size:13.5px}
summary{color:var(--dim);cursor:pointer;width:fit-content;border-radius:4px}
:focus-visible{outline:2px solid var(--blue);outline-offset:2px}
.steps{display:flex;flex-wrap:wrap;gap:6px 8px;padding:6px 0 2px}
.steps li{display:flex;align-items:center;gap:6px;border:1px solid var(--line);border-radius:7px;
padding:2px 9px 2px 7px;background:var(--card)}
.steps li.failing,.steps li.slow{border-color:var(--tone)}
.steps .icon{width:12px;height:12px}
.steps span{color:var(--dim)}
.promise{grid-template-columns:minmax(0,1fr) minmax(0,1fr) 216px}
.promise .what,.proof .what{padding-left:0}
.meter{display:block;width:100%;height:9px;border-radius:5px}
.meter .b{fill:var(--grid)}.meter .v{fill:var(--tone)}
.curve{height:26px;margin-top:4px}.curve .l{stroke:var(--tone)}.curve .a{fill:var(--wash)}
.planned{margin-left:2px;background:var(--slow-wash);border:1px solid var(--line);border-radius:6px;
padding:0 7px;font-size:13px}
.many{display:block;padding:10px 18px}.many details{padding-left:0}
.many summary{display:flex;gap:8px;align-items:center}.many .rows{margin-top:8px}
.left{display:flex;justify-content:space-between;gap:12px;font-size:13.5px;margin-top:5px;
color:var(--dim)}
.left b{color:var(--ink)}
.proof{grid-template-columns:minmax(0,1fr) minmax(0,1fr) 216px}
.proof p{font-size:13.5px;color:var(--dim)}
.proof .said{display:flex;align-items:center;gap:8px;font-size:15px;color:var(--ink)}
.said .icon{width:14px;height:14px}
.right{text-align:right}
.notes{margin-top:14px}
.notes li{background:var(--slow-wash);border:1px solid var(--line);border-radius:8px;
border-left:4px solid var(--slow);padding:8px 14px;margin-top:8px}
footer{margin-top:34px;padding-top:14px;border-top:1px solid var(--line);color:var(--dim);
font-size:13px;display:flex;flex-wrap:wrap;gap:6px 20px;justify-content:space-between}
.legend{display:flex;flex-wrap:wrap;gap:4px 14px}
.legend li{display:flex;align-items:center;gap:6px}.legend .icon{width:13px;height:13px}
nav{display:flex;flex-wrap:wrap;gap:4px 14px}
@media(max-width:860px){.row{grid-template-columns:minmax(0,1fr) 90px;padding:14px 16px}
.figure.hour,.figure.day{grid-column:auto}
.row.component{grid-template-columns:minmax(0,1fr) minmax(0,1fr)}
.component>.id{grid-column:1/-1}.component>.now{grid-column:1/-1;display:flex;gap:8px;
align-items:baseline;text-align:left;padding-left:25px}.component>.now small{font-size:13px}
.component>.hour{margin-left:25px}
.promise,.proof{grid-template-columns:minmax(0,1fr)}.right{text-align:left}
.tiles{grid-template-columns:1fr 1fr}}
@media(max-width:600px){.page{padding:16px 12px 28px}.verdict{padding:14px 16px;gap:0 11px}
h1{font-size:20px}.verdict .icon{width:22px;height:22px;margin-top:2px}
.tile{padding:10px 12px}.tile dd{font-size:18px}h2{margin:26px 0 10px}.row{gap:4px 16px}
.what,details,.component>.now{padding-left:0}.component>.hour{margin-left:0}}
@media(forced-colors:active){.icon .f,.strip rect,.meter .v{forced-color-adjust:none}}
@media print{body{background:#fff}.row{break-inside:avoid}}
"""
