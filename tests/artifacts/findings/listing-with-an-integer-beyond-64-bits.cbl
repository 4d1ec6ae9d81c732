program a04c2da382a87baf4a82d3c6aa8a6531405919f0
  input "x" param type "int" default -

blueprint a04c2da382a87baf4a82d3c6aa8a6531405919f0
  registers 5   literals 0   inputs "x"
  symbol "golden_flows:in_thread" thread version "1" signature "(x)"
  symbol "golden_flows:in_process" process version "1" signature "(x)"
  symbol "golden_flows:inc" sync version "1" signature "(x)"
  policy [null,60.0,null,[],null]   ; 0
  map [[0],-1,1]   ; 0
strand 0 eager
     0  %1    R1 = spawn golden_flows:in_thread(R0)              @ golden_flows.py:270   ; live R0 R1
     1  %4    R2 = perform golden_flows:in_process(R0) policy 0  @ golden_flows.py:270   ; live R0 R1 R2
strand 1
     2  %2    R3 = call golden_flows:inc(R0)                     @ golden_flows.py:270   ; live R0 R1 R2 R3
     3  %3    R3 = spawn golden_flows:in_process(R3)             dead R3  @ golden_flows.py:270   ; live R0 R1 R2 R3
strand 2
     4  %5    R4 = call golden_flows:inc(R0)                     @ golden_flows.py:270   ; live R0 R1 R2 R3 R4
     5  %6    R4 = build list(R0, R4)                             ; live R0 R1 R2 R3 R4
     6  %7    R4 = map golden_flows:in_thread(R4) map 0          dead R4  @ golden_flows.py:270   ; live R0 R1 R2 R3 R4
strand 3 awaits 0 1 3 6
     7  %8999999999999999999999999999999   R4 = build list(R1, R3, R2, R4)                    dead R1 R2 R3   ; live R0 R4
     8  %9    return(R4)                                          ; live R0 R4
strand 4 eager needs 0 1 2
     9  %-1   drop(R0)                                           dead R0   ; live R4
